"""The gate's evidence: what is refused of other modalities, photographs, drawings, noise and text.

A fast part of what ``python -m tests.ml.others`` shows. The whole takes the sample pictures
of scikit-image, scikit-learn, matplotlib and nibabel too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.data import DATA_LIMITS, read_manifest
from ml.imaging import ImagingError, decode
from ml.lungs import LungSegmenter
from ml.predict import Predictor
from tests.ml import others

EACH = 4
pytestmark = pytest.mark.filterwarnings("ignore:Expected explicit VR")


@pytest.fixture(scope="module")
def segmenter() -> LungSegmenter:
    return LungSegmenter.load()


def shown() -> Iterator[tuple[str, str, bytes]]:
    yield from others.everything([], EACH)


def test_what_is_no_chest_is_refused(predictor: Predictor, segmenter: LungSegmenter) -> None:
    families: Counter[str] = Counter()
    let_in = []
    for family, name, data in shown():
        families[family] += 1
        if others.refusal(predictor, segmenter, data) is None:
            let_in.append(f"{family}: {name}")
    assert len(families) == 11, families
    assert families["pydicom files"] >= 70
    assert families["pydicom exports"] >= 40
    assert len(let_in) <= families.total() * 0.01, let_in


def test_no_modality_but_plain_film_passes_the_header(predictor: Predictor) -> None:
    for name, data in others.pydicom_files():
        with pytest.raises(ImagingError):
            decode(data)
        assert name


def test_real_films_are_let_in(
    predictor: Predictor, segmenter: LungSegmenter, real_manifest: Path
) -> None:
    rows = [row for row in read_manifest(real_manifest) if row.split == "val"][::5]
    refused = []
    for row in rows:
        data = row.path.read_bytes()
        code = others.refusal(predictor, segmenter, data, DATA_LIMITS)
        if code is not None:
            refused.append(f"{row.name}: {code}")
    assert len(refused) <= len(rows) * 0.01, refused
