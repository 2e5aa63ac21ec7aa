"""What one answer costs: processor time of every part, on one core.

    python -m bench.answer [IMAGE ...] [--json FILE]

Without images it draws 40 phantoms. Decoding, network, posture, shortcut meter and heatmap are run
one after the other as a worker runs them (``screening/inference/engine.py``), each with one thread.
Processor time is stretched by nothing but a shared core, so run it while the machine rests.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ml.explain import heatmap_png
from ml.imaging import DEFAULT_LIMITS, decode
from ml.lungs import LungSegmenter
from ml.outline import lung_outline
from ml.phantom import phantom_png
from ml.posture import judge_posture
from ml.predict import Predictor
from ml.trust import load_trust

PHANTOMS = 40
WARM_UP = 5
PARTS = ("decoding", "network", "posture", "meter", "heatmap")

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.answer", description=__doc__)
    parser.add_argument("images", type=Path, nargs="*", metavar="IMAGE")
    parser.add_argument("--package", type=Path, metavar="DIR", help="default: the one in use")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    files = [path.read_bytes() for path in options.images]
    result = measure(
        files or [phantom_png(seed, None, (1024, 1024)) for seed in range(PHANTOMS)],
        options.package,
    )
    print(f"{result['model']}, {result['images']} images, milliseconds of processor time")
    for name, values in result["milliseconds"].items():
        print(f"  {name:<9} median {values['median']:6.1f}   mean {values['mean']:6.1f}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def measure(files: list[bytes], folder: Path | None = None) -> dict[str, Any]:
    """Answer every file and add up what each part took."""
    segmenter = LungSegmenter.load()
    predictor = Predictor.load(folder, segmenter=segmenter)
    trust = load_trust(predictor.package, segmenter)
    meter = trust.open_meter(predictor, segmenter)
    taken: dict[str, list[float]] = {name: [] for name in (*PARTS, "all")}

    def timed(name: str, run: Callable[[], T]) -> T:
        began = time.process_time()
        value = run()
        taken[name].append((time.process_time() - began) * 1000.0)
        return value

    def answer(data: bytes) -> None:
        decoded = timed("decoding", lambda: decode(data, DEFAULT_LIMITS))
        seen = timed("network", lambda: predictor.predict(decoded))
        posture = timed("posture", lambda: judge_posture(segmenter, decoded.pixels, seen.lungs))
        timed("meter", lambda: trust.carry(meter, decoded, seen))
        size = decoded.header.width, decoded.header.height
        timed("heatmap", lambda: (heatmap_png(seen, size=size), lung_outline(posture.lungs)))
        taken["all"].append(sum(taken[name][-1] for name in PARTS))

    for data in files[:WARM_UP] + files:
        answer(data)
    return {
        "model": f"{predictor.package.name} {predictor.package.version}",
        "images": len(files),
        "milliseconds": {
            name: {
                "median": round(statistics.median(values[WARM_UP:]), 2),
                "mean": round(statistics.fmean(values[WARM_UP:]), 2),
            }
            for name, values in taken.items()
        },
    }


if __name__ == "__main__":
    main()
