"""A column by which rows are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

KEY_LENGTH = 255

if TYPE_CHECKING:
    _TextColumn = models.CharField[str, str]
else:
    _TextColumn = models.CharField


class KeyField(_TextColumn):
    r"""Holds ``by(<the field named of>)``, compared byte by byte on every database.

    The value is derived whenever the row is saved or created in bulk, so nobody sets it. Binary
    collation makes ``key >= 'mu' AND key < 'mu\U0010ffff'`` a range of an ordinary index on both
    SQLite and PostgreSQL, and gives both the same order, which keyset pages rely on.
    ``QuerySet.update`` does not pass here: change the source field through ``save``.
    """

    def __init__(self, *, of: str, by: Callable[[str], str], **options: Any) -> None:
        self.of = of
        self.by = by
        options["max_length"] = KEY_LENGTH
        options["editable"] = False
        super().__init__(**options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        del options["max_length"], options["editable"]
        return name, path, args, {**options, "of": self.of, "by": self.by}

    def db_parameters(self, connection: BaseDatabaseWrapper) -> dict[str, str | None]:
        binary = "C" if connection.vendor == "postgresql" else "BINARY"
        return {**super().db_parameters(connection), "collation": binary}

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        key = self.by(getattr(model_instance, self.of))[:KEY_LENGTH]
        setattr(model_instance, self.attname, key)
        return key
