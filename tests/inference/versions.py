"""Further model packages for tests: the released one under other numbers, with other thresholds.

What a copy answers differs where it must: by its calibration, and by the thresholds that belong to
it. The networks are the same, so that tests need no training.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ml.package import default_path
from screening.inference import packages
from screening.inference.packages import Package


def make_version(
    shelf: Path,
    version: str,
    *,
    bias: tuple[float, float, float] | None = None,
    covid_threshold: float | None = None,
) -> Package:
    """Put a whole package on ``shelf`` and return it.

    :param bias: of its calibration, added to the logits of covid, pneumonia, normal.
    :param covid_threshold: from where on it calls COVID-19 by itself.
    """
    source = default_path()
    folder = shelf / f"thorascreen-{version}"
    shutil.copytree(source, folder)
    manifest = _read(folder / "manifest.json")
    trust = _read(folder / "trust.json")
    manifest["version"] = trust["fitted_for"]["version"] = version
    if bias is not None:
        manifest["calibration"]["bias"] = list(bias)
        trust["fitted_for"]["calibration"] = [manifest["calibration"]["temperature"], *bias]
    if covid_threshold is not None:
        table = trust["tables"]["covid"]
        # One threshold that reaches every picture of the class: the table's shape stays right.
        table.update(
            thresholds=[covid_threshold],
            hits=[table["positives"]],
            false_calls=[table["negatives"] // 2],
        )
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "trust.json").write_text(json.dumps(trust))
    package = packages.examine(folder)
    assert package.usable, package.message
    return package


def damage(package: Package, name: str = "model.tflite") -> None:
    """Change one byte of a file, as a failing disk does."""
    path = package.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content
