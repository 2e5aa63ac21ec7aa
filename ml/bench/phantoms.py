"""A drawn data set with everything that the benches ask of one: sources, groups, splits, folds."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ml import CLASSES
from ml.phantom import phantom_png

SOURCES: Final = ("site_a", "site_b")
FOLDS: Final = 2
HEADER: Final = "path,label,source,group,view,split,darkcovidnet_fold"


def draw_bench_set(folder: Path, each: int = 4) -> Path:
    """Draw so many phantoms of each class for each source and split; returns the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [HEADER]
    # folds are cut from the bench split, and what is left must fill a batch
    counts = {"train": each, "val": 2, "test": 2, "bench": 2 * each}
    number = 0
    for split in counts:
        for source in SOURCES:
            for label in CLASSES:
                for copy in range(counts[split]):
                    number += 1
                    name = f"phantom-{number}.png"
                    if not (folder / name).exists():
                        (folder / name).write_bytes(phantom_png(number, label, (128, 128)))
                    fold = str(copy % FOLDS) if split == "bench" else ""
                    view = "PA" if copy % 2 else "AP"
                    lines.append(f"{name},{label},{source},g{number},{view},{split},{fold}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest
