"""What became of each backup that was tried."""

from __future__ import annotations

from django.db import models

from screening.core.models import BaseModel


class Run(BaseModel):
    """One try to make a backup, written at its end. ``code`` is empty where it went well.

    ``folder`` is the name of the backup's own folder. ``file_count`` counts stored files,
    ``lost_files`` those of them that could not be read, ``size_bytes`` what it takes on the disk,
    ``new_bytes`` what of that an earlier backup did not hold already.
    """

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(db_index=True)
    code = models.CharField(max_length=60, blank=True)
    folder = models.CharField(max_length=80, blank=True)
    file_count = models.PositiveIntegerField(default=0)
    lost_files = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)
    new_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ("-finished_at",)

    def __str__(self) -> str:
        return f"backup {self.folder or self.code}"
