"""What happens while a file is still arriving."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.http import HttpRequest

from screening.studies.gate import LIMITS


class SizeLimitHandler(FileUploadHandler):
    """Drops a file as soon as more than the limit of it has come.

    Stands first among the upload handlers, so that nothing beyond the limit is kept in memory
    or on disk. The rest of the body is read and thrown away: a server that hangs up in the
    middle shows the person a network error instead of the reason.
    """

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self.dropped: list[tuple[str, str]] = []

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        if start + len(raw_data) > LIMITS.max_bytes:
            self.dropped.append((self.field_name or "", self.file_name or ""))
            raise SkipFile
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


def dropped_files(request: Any, field: str) -> list[str]:
    """The names of the files of ``field`` that were too large to be taken in.

    ``request`` is Django's; the body must have been parsed (``request.FILES``) before.
    """
    return [
        name
        for handler in request.upload_handlers
        if isinstance(handler, SizeLimitHandler)
        for field_name, name in handler.dropped
        if field_name == field
    ]
