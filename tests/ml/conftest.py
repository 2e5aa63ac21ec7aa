"""What several tests of the classifier share: pictures drawn once, models loaded once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ml import CLASSES
from ml.imaging import DecodedImage, decode
from ml.package import ModelPackage, load_package
from ml.phantom import phantom_png
from ml.predict import Predictor

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "cxr" / "manifest.csv"


@pytest.fixture(scope="session")
def real_manifest() -> Path:
    """The data set beside the checkout, where there is one."""
    if not REAL_DATA.exists():
        pytest.skip("the chest X-ray data set is not here")
    return REAL_DATA


@pytest.fixture(scope="session")
def released() -> ModelPackage:
    return load_package()


@pytest.fixture(scope="session")
def predictor(released: ModelPackage) -> Predictor:
    return Predictor.load(released.path)


@pytest.fixture(scope="session")
def phantoms() -> list[DecodedImage]:
    return [decode(phantom_png(seed, None, (480, 420))) for seed in range(1, 9)]


@pytest.fixture
def package_copy(released: ModelPackage, tmp_path: Path) -> Path:
    """The released package, to be damaged."""
    return Path(shutil.copytree(released.path, tmp_path / "package"))


@pytest.fixture
def phantom_set(tmp_path: Path) -> Callable[..., Path]:
    """Writes phantoms as a data set and returns its manifest."""

    def write(each: int = 4, extra: str = "") -> Path:
        lines = ["path,label,source,group,split"]
        for number in range(each * len(CLASSES)):
            label = CLASSES[number % len(CLASSES)]
            name = f"{number}.png"
            (tmp_path / name).write_bytes(phantom_png(number, label, (220, 240)))
            lines.append(f"{name},{label},site{number % 2},g{number // 2},test")
        manifest = tmp_path / "manifest.csv"
        manifest.write_text("\n".join(lines) + "\n" + extra)
        return manifest

    return write
