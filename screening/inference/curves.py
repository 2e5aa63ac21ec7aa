"""What each threshold of an installed model is worth, as measured on its selection split.

Files are read and hashed, no network is loaded: web processes may ask.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.operating import RocTable
    from screening.inference.packages import Package


def covid_curve(package: Package) -> RocTable | None:
    """The ROC table of COVID-19 against the rest; None where nothing was fitted, or all is broken.

    An installed package that was changed has another fingerprint, and is read anew.
    """
    if not package.usable or package.point is None:
        return None
    return _read(package.folder, package.fingerprint)


@lru_cache(maxsize=16)
def _read(folder: Path, fingerprint: str) -> RocTable | None:
    from ml.lungs import check_segmenter
    from ml.package import PackageError, load_package
    from ml.trust import load_trust

    try:
        return load_trust(load_package(folder), check_segmenter()).tables["covid"]
    except PackageError:
        return None
