"""Reading the bodies of API requests.

Apart from ``core.api``, because DRF reads this setting while its views are still being imported.
"""

from __future__ import annotations

from typing import Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError


class JSONParser(parsers.JSONParser):
    """DRF's, which takes a body of a hundred thousand brackets for a fault of the server."""

    def parse(self, stream: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse(stream, *args, **kwargs)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
