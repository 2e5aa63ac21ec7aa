"""The model packages that are installed side by side: what each is, and whether it may be used.

Files are read and hashed here, and nothing is loaded: web processes may ask. A package is broken or
usable as a whole, and says why in one sentence. What was found is kept until a file changes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from ml.operating import OperatingPoint
    from ml.package import ModelPackage

MISSING_MESSAGE = "This version is not installed here; install it again."
CHANGED_MESSAGE = (
    "The installed files are not those that were chosen; put them back, or review and promote anew."
)


@dataclass(frozen=True, slots=True)
class Exact:
    """One very package. The fingerprint covers all that shapes its answers, thresholds included."""

    name: str
    version: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Point:
    """A package's own operating point for COVID-19, as measured on its selection split."""

    threshold: float
    sensitivity: float
    sensitivity_ci: tuple[float, float]
    specificity: float
    specificity_ci: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """An installed package. ``code`` and ``message`` say what is wrong, empty where nothing is.

    A broken package has no fingerprint: nothing can be chosen by it.
    """

    folder: Path
    name: str
    version: str
    code: str = ""
    message: str = ""
    fingerprint: str = ""
    manifest: dict[str, Any] | None = None
    point: Point | None = None
    """None for a package for which no thresholds were fitted."""

    @property
    def usable(self) -> bool:
        return not self.code

    @property
    def exact(self) -> Exact:
        return Exact(self.name, self.version, self.fingerprint)

    @property
    def weights_sha256(self) -> str:
        """Hash of the reference network, by which a package is named whichever runtime answers."""
        from ml.package import KERAS_FILE

        hashes = (self.manifest or {}).get("sha256")
        return str(hashes.get(KERAS_FILE, "")) if isinstance(hashes, dict) else ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


def installed() -> list[Package]:
    """Every package on the shelves; the same one in two places only once."""
    found: dict[object, Package] = {}
    for folder in _folders():
        package = examine(folder)
        found.setdefault(package.fingerprint or folder.resolve(), package)
    return sorted(found.values(), key=lambda one: (one.name, _in_order(one.version)))


def default_package() -> Package:
    """What answers where nobody has chosen: ``THORASCREEN_MODEL``, else what the release names."""
    from ml.package import PackageError

    try:
        return examine(default_folder())
    except PackageError as error:
        return Package(Path(), "", "", code=error.code, message=error.message)


def default_folder() -> Path:
    """Where that package lies. Raises ``PackageError`` where the release names none."""
    from ml.package import default_path

    return Path(settings.THORASCREEN_MODEL) if settings.THORASCREEN_MODEL else default_path()


def find(wanted: Exact) -> Package:
    """The very package that is wanted; or one of that name that says why it is not to be had."""
    namesakes = [
        package
        for package in map(examine, _folders())
        if (package.name, package.version) == (wanted.name, wanted.version)
    ]
    for package in namesakes:
        if package.fingerprint == wanted.fingerprint:
            return package
    for package in namesakes:
        if not package.usable:
            return package
    code, message = "model_missing", MISSING_MESSAGE
    if namesakes:
        code, message = "model_hash_mismatch", CHANGED_MESSAGE
    return Package(Path(), wanted.name, wanted.version, code=code, message=message)


def named(name: str, version: str) -> list[Path]:
    """The folders of every installed package of that name and version, broken ones too."""
    return [
        folder
        for folder in _folders()
        if (examine(folder).name, examine(folder).version) == (name, version)
    ]


def examine(folder: Path) -> Package:
    """Look at a package's files. Hashes them only when one has changed since the last look."""
    from ml.lungs import ACTIVE
    from ml.package import MODELS

    return _examine(folder, _stamps(folder), _stamps(MODELS / ACTIVE))


def written_at_s(folder: Path) -> float:
    """When the folder or a file in it was last written or moved, in seconds since 1970."""
    try:
        moved = folder.stat().st_ctime_ns
    except OSError:
        return 0.0
    return max([moved, *(written for _name, written, _size in _stamps(folder))]) / 1e9


def _folders() -> list[Path]:
    """The folders of all packages, the default first, since a copy elsewhere is only a copy."""
    from ml.package import MODELS, PackageError, find_packages

    shelves = [MODELS]
    if settings.THORASCREEN_MODELS:
        shelves.append(Path(settings.THORASCREEN_MODELS))
    folders = find_packages(*shelves)
    try:
        default = default_folder()
    except PackageError:
        return folders
    return [default, *(folder for folder in folders if folder != default)]


Stamps = tuple[tuple[str, int, int], ...]


def _stamps(folder: Path) -> Stamps:
    """What changes when a file of the folder is written: names, times in ns, sizes in bytes."""
    try:
        found = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except OSError:
        return ()
    return tuple((name, stat.st_ctime_ns, stat.st_size) for name, stat in found)


@lru_cache(maxsize=64)
def _examine(folder: Path, stamps: Stamps, lungs: Stamps) -> Package:
    from ml.lungs import check_segmenter
    from ml.operating import SENSITIVITY
    from ml.package import PackageError, fingerprint, load_package
    from ml.trust import load_trust

    try:
        package = load_package(folder)
        segmenter = check_segmenter()
        thresholds, point = None, None
        try:
            trust = load_trust(package, segmenter)
        except PackageError as error:
            # A package for which nothing was fitted answers without.
            if error.code != "model_missing":
                raise
        else:
            thresholds = trust.sha256
            point = _point(trust.tables["covid"].choose(SENSITIVITY))
    except PackageError as error:
        return _broken(folder, error.code, error.message)
    return _usable(package, fingerprint(package, thresholds), point)


def _usable(package: ModelPackage, fingerprint: str, point: Point | None) -> Package:
    return Package(
        folder=package.path,
        name=package.name,
        version=package.version,
        fingerprint=fingerprint,
        manifest=package.manifest,
        point=point,
    )


def _broken(folder: Path, code: str, message: str) -> Package:
    """Named as its manifest says, where that can still be read, else as its folder."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    known = manifest if isinstance(manifest, dict) else {}
    return Package(
        folder=folder,
        name=str(known.get("name", folder.name))[:80],
        version=str(known.get("version", ""))[:40],
        code=code,
        message=message,
        manifest=known or None,
    )


def _point(point: OperatingPoint) -> Point:
    return Point(
        threshold=point.threshold,
        sensitivity=point.sensitivity,
        sensitivity_ci=point.sensitivity_ci,
        specificity=point.specificity,
        specificity_ci=point.specificity_ci,
    )


def _in_order(version: str) -> list[tuple[int, str]]:
    """So that 1.10 comes after 1.9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in version.split(".")]
