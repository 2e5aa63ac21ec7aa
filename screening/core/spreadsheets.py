"""CSV that a spreadsheet opens as plain values: nothing in it runs as a formula."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import StreamingHttpResponse

# What makes a spreadsheet take a cell for a formula; the last two are stripped by some before
# they look. The full-width forms count as well in East Asian settings.
_TRIGGERS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def plain(value: Any) -> Any:
    """``value`` for a cell: a text that could start a formula gets an apostrophe before it.

    Numbers stay numbers, a negative one too.
    """
    if not isinstance(value, str):
        return value
    return "'" + value if value.lstrip(" ").startswith(_TRIGGERS) else value


class _Line:
    """What ``csv`` writes to: hands each line straight back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterable[str]:
    """The lines of a CSV file: UTF-8 with a mark, so that spreadsheets read names aright."""
    writer = csv.writer(_Line())
    yield "\ufeff" + writer.writerow(heading)
    for row in rows:
        yield writer.writerow([plain(cell) for cell in row])


def csv_response(
    file_name: str, heading: Sequence[str], rows: Iterable[Sequence[Any]]
) -> StreamingHttpResponse:
    """The file as a download, sent line by line."""
    return StreamingHttpResponse(
        csv_lines(heading, rows),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{file_name}"',
            "Cache-Control": "no-store, private",
        },
    )
