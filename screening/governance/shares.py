"""A share with its interval, as pages on models and on readers show it."""

from __future__ import annotations

from dataclasses import dataclass

from ml.operating import wilson


@dataclass(frozen=True, slots=True)
class Share:
    """``hits`` of ``total``, with Wilson's 95 % interval; (0, 1) where nothing was counted."""

    hits: int
    total: int

    @property
    def value(self) -> float | None:
        return self.hits / self.total if self.total else None

    @property
    def low(self) -> float:
        return wilson(self.hits, self.total)[0]

    @property
    def high(self) -> float:
        return wilson(self.hits, self.total)[1]

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, where anything was counted."""
        return (self.low, self.high) if self.total else None
