"""Whether the model versions that must answer can: from their files, and from what workers met.

Only a worker finds out that files with the right hashes can't be loaded, so it leaves a note.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from screening.core import row_security
from screening.inference import activations, packages
from screening.inference.failures import message_of
from screening.inference.models import LoadFailure, Result
from screening.inference.packages import Exact, Package

MODEL_CODES = frozenset(
    {
        "model_missing",
        "model_hash_mismatch",
        "model_invalid",
        "model_preprocessing_mismatch",
    }
)


MEMORY = dt.timedelta(minutes=10)
"""So long a failure counts that files would show and, here, do not: they were put back, or the
worker's machine has others. A portal that nobody sends images to must become ready by itself."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A version that must answer and can't. ``model`` is its name and version."""

    model: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Health:
    """How many versions must answer somewhere, and which of them can't."""

    versions: int
    troubles: tuple[Trouble, ...]

    @property
    def none_answers(self) -> bool:
        return len(self.troubles) >= self.versions


def note_load_failure(wanted: Exact | None, code: str) -> None:
    """Note that a worker could not use a version; None stands for the default."""
    known = wanted or Exact("", "", "")
    LoadFailure.objects.update_or_create(
        name=known.name,
        version=known.version,
        fingerprint=known.fingerprint,
        defaults={"code": code, "failed_at": timezone.now()},
    )


def check_models() -> Health:
    """Look at every version that must answer at some site."""
    wanted = activations.in_use()
    found = (trouble_with(one) for one in wanted)
    return Health(len(wanted), tuple(trouble for trouble in found if trouble is not None))


def trouble_with(wanted: Exact | None) -> Trouble | None:
    """What keeps a version from answering; None where nothing is known to."""
    package = packages.find(wanted) if wanted is not None else packages.default_package()
    name = str(wanted or package) or _("The installation's model")
    if not package.usable:
        return Trouble(name, package.code, package.message)
    code = _met_by_workers(wanted, package)
    return Trouble(name, code, message_of(code)) if code else None


def _met_by_workers(wanted: Exact | None, package: Package) -> str:
    """The code that a worker noted, unless the files were put right or have answered since."""
    known = wanted or Exact("", "", "")
    failure = LoadFailure.objects.filter(
        name=known.name, version=known.version, fingerprint=known.fingerprint
    ).first()
    if failure is None or _written_at(package) > failure.failed_at:
        return ""
    if failure.code != "model_invalid" and failure.failed_at < timezone.now() - MEMORY:
        return ""
    answered = Result.objects.filter(
        model_version__name=package.name,
        model_version__version=package.version,
        created_at__gt=failure.failed_at,
    )
    with row_security.lifted():  # It may have answered at any site, and no image is looked at.
        return "" if answered.exists() else failure.code


def _written_at(package: Package) -> dt.datetime:
    return dt.datetime.fromtimestamp(packages.written_at_s(package.folder), tz=dt.UTC)
