"""What a head is fitted on: the means of the backbone's maps at many pictures, computed once.

Each picture is looked at as it is, and those to learn from in the mirror too: a lung says the same
on either side. A part of these is looked at once more with the surroundings of its lungs exchanged
(``ml.view.surround``), so that ``ml.restraint`` can tell which of the means follow the surroundings
rather than the lungs.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ml import data, lite, preprocess
from ml.imaging import decode
from ml.lite import Weights
from ml.lite_weights import fingerprint
from ml.lungs import LungSegmenter, check_segmenter
from ml.network import write_litert
from ml.package import View
from ml.pool import look_at
from ml.preprocess import FloatArray
from ml.view import LOOKS, looks, show, surround

Report = Callable[[str], None]
Means = npt.NDArray[np.float32]
"""(n, looks, FEATURES)"""
REPORT_EVERY: Final = 1000
WORTH_A_POOL: Final = 200
"""From so many pictures on, several processes look at them."""
EXCHANGED_EVERY: Final = 3
"""One picture in so many is looked at in other surroundings: enough to know how the means vary."""
PLAIN_SHARE: Final = 0.25
"""Share of the exchanged pictures whose lungs are set into plain grey or noise."""
EXCHANGE_SEED: Final = 20200211
NOBODY: Final = ""


@dataclass(frozen=True, slots=True, eq=False)
class Exchanged:
    """Pictures seen a second time, in other surroundings."""

    names: tuple[str, ...]
    donors: tuple[str, ...]
    """Whose surroundings each was given; ``NOBODY`` for grey or noise."""
    means: Means

    def among(self, names: set[str]) -> list[int]:
        """Places of the pictures that are among ``names`` together with their donors."""
        known = names | {NOBODY}
        return [
            place
            for place, (name, donor) in enumerate(zip(self.names, self.donors, strict=True))
            if name in names and donor in known
        ]


@dataclass(frozen=True, slots=True)
class _Task:
    """One picture to look at."""

    path: str
    mirror: bool = False
    exchange: bool = False
    donor: str = NOBODY
    """Path of the picture whose surroundings it is given."""
    seed: int = 0


def measure_means(
    rows: Sequence[data.Row],
    weights: Weights,
    size: int,
    view: View,
    cache: Path | None = None,
    report: Report = print,
    *,
    mirror: bool = False,
) -> Means:
    """What a head sees of every picture, (n, looks, FEATURES) float32. Where a picture lacks the
    further looks, for its lungs were not found, the first stands in for them.

    :param mirror: look at the pictures in the mirror.
    :param cache: a ``.npz`` that is read when it holds all these pictures, named as in the
        manifest and seen by this backbone, and written otherwise.
    """
    names = [row.name for row in rows]
    seen_by = _seen_by(weights, size, view) + (" mirrored" if mirror else "")
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as stored:
            places = {str(name): place for place, name in enumerate(stored["names"])}
            if str(stored["seen_by"]) == seen_by and places.keys() >= set(names):
                known: Means = stored["means"][[places[name] for name in names]]
                return known
    tasks = [_Task(str(row.path), mirror) for row in rows]
    means = np.stack([one for one in _run(tasks, weights, size, view, report) if one is not None])
    if cache is not None:
        with cache.open("wb") as stream:
            np.savez(stream, seen_by=np.array(seen_by), names=np.array(names), means=means)
    return means


def measure_exchanged(
    rows: Sequence[data.Row],
    weights: Weights,
    size: int,
    cache: Path | None = None,
    report: Report = print,
) -> Exchanged:
    """Look at a third of these pictures with the surroundings of another of them, drawn with a
    fixed seed, or with none. Pictures without lungs are left out.

    :param cache: a ``.npz`` that is read when it holds the answer to this question, and written
        otherwise.
    """
    asked = hashlib.sha256("\n".join(row.name for row in rows).encode()).hexdigest()
    seen_by = f"{_seen_by(weights, size, 'lungs')} {asked}"
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as stored:
            if str(stored["seen_by"]) == seen_by:
                return Exchanged(
                    tuple(str(name) for name in stored["names"]),
                    tuple(str(name) for name in stored["donors"]),
                    stored["means"],
                )
    rng = np.random.default_rng(EXCHANGE_SEED)
    chosen = rows[::EXCHANGED_EVERY]
    donors: list[data.Row | None] = [
        None if rng.random() < PLAIN_SHARE else rows[int(rng.integers(len(rows)))] for _ in chosen
    ]
    tasks = [
        _Task(
            str(row.path),
            exchange=True,
            donor=NOBODY if donor is None else str(donor.path),
            seed=number,
        )
        for number, (row, donor) in enumerate(zip(chosen, donors, strict=True))
    ]
    seen = _run(tasks, weights, size, "lungs", report)
    kept = [place for place, one in enumerate(seen) if one is not None]
    exchanged = Exchanged(
        tuple(chosen[place].name for place in kept),
        tuple(NOBODY if (donor := donors[place]) is None else donor.name for place in kept),
        np.array([seen[place] for place in kept], dtype=np.float32).reshape(
            len(kept), LOOKS, lite.FEATURES
        ),
    )
    if cache is not None:
        with cache.open("wb") as stream:
            np.savez(
                stream,
                seen_by=np.array(seen_by),
                names=np.array(exchanged.names),
                donors=np.array(exchanged.donors),
                means=exchanged.means,
            )
    return exchanged


def _seen_by(weights: Weights, size: int, view: View) -> str:
    """What decides the means of a picture."""
    told = f"{fingerprint(weights)} {size} {preprocess.PREPROCESSING_VERSION}"
    return f"{told} {check_segmenter().sha256}" if view == "lungs" else told


def _run(
    tasks: Sequence[_Task], weights: Weights, size: int, view: View, report: Report
) -> list[Means | None]:
    asked = (_features(weights, size), size, view)
    found: list[Means | None] = []
    for one in look_at(tasks, _look, _start, asked, worth=WORTH_A_POOL):
        if len(found) % REPORT_EVERY == 0:
            report(f"{len(found)} of {len(tasks)} pictures seen")
        found.append(one)
    return found


def _features(weights: Weights, size: int) -> bytes:
    """The backbone's means for the serving runtime: on ordinary processors a third of the training
    library's time."""
    key = f"{fingerprint(weights)} {size}"
    if key not in _networks:
        model = lite.build_features(size)
        lite.set_backbone(model, weights)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "features.tflite"
            write_litert(model, path)
            _networks.clear()  # one at a time is asked for, many times by a bench
            _networks[key] = path.read_bytes()
    return _networks[key]


_networks: dict[str, bytes] = {}


class _Watcher:
    """Looks at pictures with the backbone, in one process."""

    def __init__(self, network: bytes, size: int, view: View) -> None:
        from ai_edge_litert.interpreter import Interpreter

        # kept: the interpreter reads its weights from here as long as it lives
        self._network, self._size = network, size
        self._segmenter = LungSegmenter.load() if view == "lungs" else None
        self._interpreter = Interpreter(model_content=network, num_threads=1)
        self._runner = self._interpreter.get_signature_runner()
        (self._taken,) = self._runner.get_input_details()
        (self._given,) = self._runner.get_output_details()

    def look(self, task: _Task) -> Means | None:
        """(looks, FEATURES) of a picture; None where its surroundings were to be exchanged and no
        lungs are found."""
        pixels = _open(task.path)
        if task.mirror:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        lungs = self._segmenter.find(pixels) if self._segmenter else None
        if task.exchange:
            if lungs is None or not lungs.found:
                return None
            rng = np.random.default_rng((EXCHANGE_SEED, task.seed))
            other = _open(task.donor) if task.donor != NOBODY else _plain(rng)
            pixels = surround(pixels, lungs, other)
        square = preprocess.resize_square(pixels, self._size)
        seen = [
            np.array(self._runner(**{self._taken: look.prepared[np.newaxis]})[self._given][0])
            for look in looks(show(pixels, square, lungs))
        ]
        wanted = 1 if self._segmenter is None else LOOKS
        return np.stack([*seen, *seen[:1] * (wanted - len(seen))])


def _open(path: str) -> FloatArray:
    return decode(Path(path).read_bytes(), data.DATA_LIMITS).pixels


def _plain(rng: np.random.Generator) -> FloatArray:
    """One grey, or noise."""
    if rng.random() < 0.5:
        return np.full((64, 64), rng.uniform(0.2, 0.7), dtype=np.float32)
    return np.clip(rng.normal(0.5, 0.15, (256, 256)), 0.0, 1.0).astype(np.float32)


_watcher: _Watcher | None = None


def _start(network: bytes, size: int, view: View) -> None:
    global _watcher
    _watcher = _Watcher(network, size, view)


def _look(task: _Task) -> Means | None:
    if _watcher is None:
        raise RuntimeError("the backbone has not been loaded in this process")
    return _watcher.look(task)
