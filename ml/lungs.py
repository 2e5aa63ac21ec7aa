"""Where the lungs are: a small released network, and whether what it found can be lungs at all.

The network was drawn after clinicians' outlines, which run on behind the heart and the edge of the
diaphragm (see ``ml.lungs_train``). It is used for asking where the classifier's evidence lies, and
never for a diagnosis. A segmentation that does not look like two lungs is said to have failed, with
a code; nothing downstream may use one silently.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.package import MANIFEST, MODELS, PackageError, hash_file
from ml.preprocess import PREPROCESSING_VERSION, FloatArray, normalise, resize_square

BoolArray = npt.NDArray[np.bool_]
LungCode = Literal["no_lungs", "lungs_too_large", "one_lung", "lungs_uncertain"]

MESSAGES: Final[dict[LungCode, str]] = {
    "no_lungs": "The lungs could not be found in this picture.",
    "lungs_too_large": "What was found is too large to be lungs.",
    "one_lung": "Only one lung could be found in this picture.",
    "lungs_uncertain": "The lungs' edges could not be told in this picture.",
}

LITERT_FILE: Final = "lungs.tflite"
ACTIVE: Final = "lungs-1.0.0"
"""The folder under ``ml/models`` that is used unless another is named."""
LEAST_AREA: Final = 0.07
"""Share of the square that both lungs cover at least."""
LARGEST_AREA: Final = 0.65
LEAST_FIELD: Final = 0.02
"""Share of the square that each lung covers at least."""
LEAST_BALANCE: Final = 0.18
"""Area of the smaller lung over that of the larger."""
SPECK: Final = 0.004
"""Share of the square below which a separate patch is dropped."""
LEAST_CERTAINTY: Final = 0.90
"""Soft Dice between the probabilities and the mask drawn from them: 0.98 for most films, and below
0.90 for one in a thousand; photographs, clouds and other modalities mostly lie below."""


@dataclass(frozen=True, slots=True, eq=False)
class Lungs:
    """What was found in one picture, in the square that ``ml.preprocess.resize_square`` makes."""

    probability: FloatArray
    """(s, s) float32 in [0, 1]."""
    mask: BoolArray
    """(s, s): the lung fields, specks dropped."""
    code: LungCode | None
    """Why this must not be used as lungs; None when it may."""
    measures: dict[str, float]
    """``area`` and the smaller ``field`` (shares of the square), ``balance``, ``certainty``."""

    @property
    def found(self) -> bool:
        """Whether the mask may be used."""
        return self.code is None

    @property
    def message(self) -> str | None:
        """One sentence for people; None when the lungs were found."""
        return MESSAGES[self.code] if self.code else None


@dataclass(frozen=True, slots=True)
class ReleasedSegmenter:
    """A segmenter whose files have been found and checked, but not loaded."""

    path: Path
    sha256: str
    """Of the network."""
    manifest: dict[str, Any]


def check_segmenter(path: Path | str | None = None) -> ReleasedSegmenter:
    """Find a released segmenter and check its bytes.

    :param path: the package's folder; None for the one that ships.
    :raises PackageError: when it is missing, changed or unfit.
    """
    folder = Path(path) if path is not None else MODELS / ACTIVE
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        actual = hash_file(folder / LITERT_FILE)
    except OSError:
        raise PackageError(
            "model_missing", "The lung segmenter is missing; install the model again."
        ) from None
    except ValueError:
        raise PackageError("model_invalid", "The lung segmenter's manifest is damaged.") from None
    try:
        expected = manifest["sha256"][LITERT_FILE]
        preprocessing = int(manifest["preprocessing_version"])
    except (KeyError, TypeError, ValueError):
        raise PackageError(
            "model_invalid", "The lung segmenter's manifest is incomplete."
        ) from None
    if actual != expected:
        raise PackageError(
            "model_hash_mismatch",
            "The lung segmenter is not the one released; install the model again.",
        )
    if preprocessing != PREPROCESSING_VERSION:
        raise PackageError(
            "model_preprocessing_mismatch",
            f"The lung segmenter was trained with preprocessing {preprocessing}, "
            f"this program has {PREPROCESSING_VERSION}.",
        )
    return ReleasedSegmenter(folder, str(actual), manifest)


class LungSegmenter:
    """A loaded segmenter. Threads may share one; load one in each process, after fork."""

    def __init__(self, path: Path, manifest: dict[str, Any], threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.path = path
        self.manifest = manifest
        self.name = str(manifest["name"])
        self.version = str(manifest["version"])
        self.size = int(manifest["input"]["size"])
        self.sha256 = str(manifest["sha256"][LITERT_FILE])
        # kept: the interpreter reads its weights from here as long as it lives
        self._content = (path / LITERT_FILE).read_bytes()
        self._interpreter = Interpreter(model_content=self._content, num_threads=threads)
        self._runner = self._interpreter.get_signature_runner()
        (self._input,) = self._runner.get_input_details()
        (self._output,) = self._runner.get_output_details()
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path | str | None = None, threads: int = 1) -> LungSegmenter:
        """Load and check a released segmenter.

        :param path: the package's folder; None for the one that ships.
        :raises PackageError: when it is missing, changed or unfit.
        """
        released = check_segmenter(path)
        try:
            return cls(released.path, released.manifest, threads)
        # whatever a loader makes of a wrong file, it means the same
        except Exception as error:
            raise PackageError("model_invalid", "The lung segmenter cannot be loaded.") from error

    def find(self, pixels: FloatArray) -> Lungs:
        """Find the lungs in a decoded picture or in a square made of it.

        :param pixels: (h, w) float32 in [0, 1], white is dense.
        :raises ArithmeticError: when the network's answer is not a number.
        """
        prepared = normalise(resize_square(pixels, self.size))[np.newaxis, ..., np.newaxis]
        with self._lock:
            scores = np.array(self._runner(**{self._input: prepared})[self._output][0, ..., 0])
        if not np.isfinite(scores).all():
            raise ArithmeticError("the segmenter's answer is not a number")
        probability = 1.0 / (1.0 + np.exp(-np.clip(scores, -30.0, 30.0)))
        return judge(probability.astype(np.float32))


def judge(probability: FloatArray) -> Lungs:
    """Draw the mask of a probability map and say whether it can be two lungs.

    :param probability: (s, s) float32 in [0, 1].
    """
    mask = drop_specks(probability >= 0.5)
    left, right = split_fields(mask)
    area, smaller, larger = float(mask.mean()), min(left, right), max(left, right)
    total = float(probability.sum() + mask.sum())
    certainty = 2.0 * float(probability[mask].sum()) / total if total > 0 else 0.0
    measures = {
        "area": area,
        "field": smaller,
        "balance": smaller / larger if larger > 0 else 0.0,
        "certainty": certainty,
    }
    return Lungs(probability, mask, _code(measures), measures)


def _code(measures: dict[str, float]) -> LungCode | None:
    if measures["area"] < LEAST_AREA:
        return "no_lungs"
    if measures["area"] > LARGEST_AREA:
        return "lungs_too_large"
    if measures["field"] < LEAST_FIELD or measures["balance"] < LEAST_BALANCE:
        return "one_lung"
    if measures["certainty"] < LEAST_CERTAINTY:
        return "lungs_uncertain"
    return None


def split_fields(mask: BoolArray) -> tuple[float, float]:
    """Areas on either side of the emptiest column between the lungs, as shares of the square.

    The column is sought in the middle half of the mask's width, so that fields which touch are
    told apart and a lone lung is not cut into two: there, the lesser side must be an honest lobe.
    """
    columns = mask.sum(axis=0)
    filled = np.flatnonzero(columns)
    if len(filled) == 0:
        return 0.0, 0.0
    first, last = int(filled[0]), int(filled[-1]) + 1
    quarter = (last - first) // 4
    middle = columns[first + quarter : last - quarter]
    cut = first + quarter + int(np.argmin(middle))
    left, right = columns[:cut], columns[cut:]
    # one solid shape has no valley: its emptiest column is nearly as full as its fullest
    if columns[cut] > 0.6 * min(left.max(initial=0), right.max(initial=0)):
        return float(mask.mean()), 0.0
    return float(left.sum()) / mask.size, float(right.sum()) / mask.size


def drop_specks(mask: BoolArray, share: float = SPECK) -> BoolArray:
    """Drop connected patches (sides touching) smaller than a share of the square."""
    labels, areas = _patches(mask)
    large = np.flatnonzero(areas >= share * mask.size)
    kept: BoolArray = np.isin(labels, large[large > 0])
    return kept


def _patches(mask: BoolArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number the connected patches from 1, (s, s), and count their pixels; 0 is the outside.

    Works on the runs of each row, of which a mask has few.
    """
    parents = [0]
    runs: list[tuple[int, int, int, int]] = []

    def root(number: int) -> int:
        while parents[number] != number:
            number = parents[number]
        return number

    above: list[tuple[int, int, int]] = []
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), dtype=np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    for row in range(mask.shape[0]):
        here: list[tuple[int, int, int]] = []
        starts, ends = np.flatnonzero(steps[row] == 1), np.flatnonzero(steps[row] == -1)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            number = 0
            for other_start, other_end, other in above:
                if other_start < end and start < other_end:
                    found = root(other)
                    if number and found != number:
                        parents[max(found, number)] = min(found, number)
                        number = min(found, number)
                    else:
                        number = found
            if not number:
                number = len(parents)
                parents.append(number)
            here.append((start, end, number))
            runs.append((row, start, end, number))
        above = here
    labels = np.zeros(mask.shape, dtype=np.int64)
    for row, start, end, number in runs:
        labels[row, start:end] = root(number)
    return labels, np.bincount(labels.ravel(), minlength=len(parents))


def resize_mask(mask: BoolArray, shape: tuple[int, int]) -> BoolArray:
    """The mask on another grid (h, w), edges at half coverage."""
    height, width = shape
    smooth = Image.fromarray(mask.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    resized: BoolArray = np.asarray(smooth) >= 0.5
    return resized


def dilate(mask: BoolArray, radius: int) -> BoolArray:
    """Widen a mask by ``radius`` pixels in every direction (a square brush)."""
    grown = mask
    for axis in (0, 1):
        total = np.cumsum(np.pad(grown, _pad(radius, axis)).astype(np.int32), axis=axis)
        ahead = np.take(total, range(2 * radius + 1, total.shape[axis]), axis=axis)
        behind = np.take(total, range(total.shape[axis] - 2 * radius - 1), axis=axis)
        grown = (ahead - behind) > 0
    return grown


def _pad(radius: int, axis: int) -> tuple[tuple[int, int], tuple[int, int]]:
    along, across = (radius + 1, radius), (0, 0)
    return (along, across) if axis == 0 else (across, along)


def extent(mask: BoolArray) -> tuple[slice, slice]:
    """Rows and columns of the upright rectangle around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(int(rows[0]), int(rows[-1]) + 1),
        slice(int(columns[0]), int(columns[-1]) + 1),
    )


def dice(one: BoolArray, other: BoolArray) -> float:
    """Twice the overlap over the sum of areas; 1 for two empty masks."""
    total = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / total if total else 1.0


def overlay(pixels: FloatArray, lungs: Lungs) -> Image.Image:
    """The picture with the lungs in red, or in blue where they must not be used."""
    greys = Image.fromarray(np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8))
    fields = resize_mask(lungs.mask, (greys.height, greys.width))
    colour = Image.new("RGB", greys.size, (255, 40, 40) if lungs.found else (40, 40, 255))
    tint = Image.fromarray(np.where(fields, 90, 0).astype(np.uint8))
    return Image.composite(colour, greys.convert("RGB"), tint)
