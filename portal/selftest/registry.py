"""What is examined, what came of it, and which demands it answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portal.selftest.world import World

Figures = Mapping[str, str | int | float]


class Verdict(StrEnum):
    PASSED = "pass"
    FAILED = "FAIL"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Outcome:
    """One sentence that says what was seen, and the figures behind it."""

    verdict: Verdict
    sentence: str
    figures: Figures = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """What a check may use: a folder that is removed afterwards, the scratch portal's people."""

    folder: Path
    world: World | None = None

    @property
    def scratch(self) -> World:
        if self.world is None:
            raise RuntimeError("this check was not promised a scratch portal")
        return self.world


Run = Callable[[Bench], Outcome]


@dataclass(frozen=True)
class Check:
    """``asvs``: sections of OWASP ASVS 5.0. ``hipaa``: paragraphs of 45 CFR 164."""

    key: str
    title: str
    asvs: tuple[str, ...]
    hipaa: tuple[str, ...]
    needs_scratch: bool
    run: Run


@dataclass(frozen=True)
class Line:
    """A check and what came of it; ``seconds`` is how long it took."""

    check: Check
    outcome: Outcome
    seconds: float


_checks: dict[str, Check] = {}


def self_check(
    key: str,
    title: str,
    *,
    asvs: Iterable[str] = (),
    hipaa: Iterable[str] = (),
    needs_scratch: bool = False,
) -> Callable[[Run], Run]:
    """Enter the function into the list."""

    def enter(run: Run) -> Run:
        if key in _checks and _checks[key].run.__module__ != run.__module__:
            raise RuntimeError(f"two checks are called {key!r}")
        _checks[key] = Check(key, title, tuple(asvs), tuple(hipaa), needs_scratch, run)
        return run

    return enter


def checks() -> list[Check]:
    """Every check, in the order of the report."""
    from portal.selftest.checks import IN_ORDER  # Importing enters them.

    places = {module.__name__: place for place, module in enumerate(IN_ORDER)}
    return sorted(_checks.values(), key=lambda check: places[check.run.__module__])


def passed(sentence: str, **figures: str | int | float) -> Outcome:
    return Outcome(Verdict.PASSED, sentence, figures)


def failed(sentence: str, **figures: str | int | float) -> Outcome:
    return Outcome(Verdict.FAILED, sentence, figures)


def not_applicable(sentence: str, **figures: str | int | float) -> Outcome:
    return Outcome(Verdict.NOT_APPLICABLE, sentence, figures)


def examine(check: Check, bench: Bench) -> Line:
    """Run one check. One that breaks has failed: what can't be shown is not claimed."""
    started = time.monotonic()
    try:
        outcome = check.run(bench)
    except Exception as error:  # whatever it is, the others must still run
        outcome = failed(f"The check itself broke: {type(error).__name__}: {error}"[:600])
    return Line(check, outcome, time.monotonic() - started)
