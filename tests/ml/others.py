"""Pictures that are no chest X-rays: what ships with installed packages, and what can be drawn.

``python -m tests.ml.others [FOLDER …] [--json FILE]`` shows them all to the released model and says
how many of each family were refused, and what passed the quality gate. The folders may hold
pictures of any kind, such as unpacked packages (scikit-image, scikit-learn, matplotlib, nibabel).
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pydicom.data
from PIL import Image, ImageDraw, ImageFilter, ImageFont, UnidentifiedImageError

from ml.imaging import DEFAULT_LIMITS, ImagingError, Limits, decode
from ml.lungs import LungSegmenter
from ml.posture import judge_posture
from ml.predict import Predictor

Array = npt.NDArray[np.floating] | npt.NDArray[np.uint8]
SIDE = 400
LEAST = 220
"""Smaller pictures are enlarged to this short side, or the imaging gate would have them already."""
TYPES = (".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".bmp")
SHORT = 24
"""Icons below this side show nothing once enlarged."""


def as_file(values: Array | Image.Image) -> bytes:
    """The PNG that somebody would upload of it."""
    if not isinstance(values, Image.Image):
        if values.dtype != np.uint8:
            values = np.uint8(np.clip(values, 0, 1) * 255)
        values = Image.fromarray(values)
    if min(values.size) < LEAST:
        factor = LEAST / min(values.size)
        size = round(values.width * factor), round(values.height * factor)
        values = values.resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    values.save(stream, "PNG")
    return stream.getvalue()


def windowed(values: npt.NDArray[np.generic]) -> Array:
    """Any numbers stretched between two percentiles, as an export would."""
    numbers = np.asarray(values, dtype=np.float64)
    low, high = np.percentile(numbers, [0.5, 99.5])
    return np.clip((numbers - low) / max(high - low, 1e-9), 0.0, 1.0)


def frames(values: npt.NDArray[np.generic], most: int = 3) -> Iterator[npt.NDArray[np.generic]]:
    """A few pictures out of a stack."""
    if values.ndim == 2 or (values.ndim == 3 and values.shape[-1] in (3, 4)):
        yield values
        return
    for number in np.linspace(0, len(values) - 1, min(most, len(values))).astype(int):
        yield from frames(values[number], most)


def pydicom_files() -> Iterator[tuple[str, bytes]]:
    """Every test file of pydicom that is installed, as it is.

    By their place: asked by name, pydicom would download more.
    """
    folder = Path(pydicom.data.__file__).parent
    for path in sorted(folder.rglob("*.dcm")):
        yield path.name, path.read_bytes()


def pydicom_exports() -> Iterator[tuple[str, bytes]]:
    """The pixels of those files (CT, MR, US, NM, dose …) as somebody would export them to PNG."""
    for name, data in pydicom_files():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                pixels = pydicom.dcmread(io.BytesIO(data), force=True).pixel_array
            except Exception:  # noqa: S112  # many are broken on purpose, or hold no picture
                continue
        if min(pixels.shape[:2]) < SHORT and pixels.ndim == 2:
            continue
        for number, frame in enumerate(frames(pixels)):
            if min(frame.shape[:2]) >= SHORT:
                yield f"{name} {number}", as_file(windowed(frame))


def package_pictures(folders: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Photographs, drawings and icons in folders; each content once."""
    seen: set[bytes] = set()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in TYPES or not path.is_file():
                continue
            try:
                with Image.open(path) as picture, warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    shown = picture.convert("RGBA" if "A" in picture.mode else "RGB")
            except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
                continue
            if min(shown.size) < SHORT or shown.tobytes() in seen:
                continue
            seen.add(shown.tobytes())
            yield str(path.relative_to(folder)), as_file(shown)
            if len(shown.getcolors(1 << 24) or []) > 2:
                yield f"{path.relative_to(folder)} in grey", as_file(shown.convert("L"))


def scans(folders: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Slices of the MR volumes among nibabel's test files, and zipped DICOM files' pixels."""
    for folder in folders:
        for path in sorted(folder.rglob("*.nii*")):
            volume = _nifti(path)
            if volume is None:
                continue
            for axis in range(3):
                for place in (0.3, 0.5, 0.7):
                    cut = np.take(volume, int(volume.shape[axis] * place), axis=axis)
                    if min(cut.shape) >= SHORT and cut.max() > cut.min():
                        yield f"{path.name} {axis} {place}", as_file(windowed(np.rot90(cut)))
        for path in sorted(folder.rglob("*.dcm.gz")):
            dataset = pydicom.dcmread(io.BytesIO(gzip.decompress(path.read_bytes())), force=True)
            for number, frame in enumerate(frames(dataset.pixel_array)):
                yield f"{path.name} {number}", as_file(windowed(frame))


def _nifti(path: Path) -> npt.NDArray[np.generic] | None:
    """The first volume of a plain NIfTI-1 file; None for any other."""
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    kinds = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8"}
    for order in ("<", ">"):
        if len(data) > 352 and int(np.frombuffer(data, f"{order}i4", 1)[0]) == 348:
            shape = np.frombuffer(data, f"{order}i2", 8, 40)[1:4]
            kind = kinds.get(int(np.frombuffer(data, f"{order}i2", 1, 70)[0]))
            offset = int(np.frombuffer(data, f"{order}f4", 1, 108)[0])
            count = int(np.prod(shape))
            if kind is None or len(data) < offset + count * np.dtype(kind).itemsize:
                return None
            values = np.frombuffer(data, f"{order}{kind}", count, max(offset, 352))
            return values.reshape(shape, order="F")
    return None


def clouds(cells: int, seed: int) -> npt.NDArray[np.floating]:
    coarse = np.random.default_rng(seed).standard_normal((cells, cells)).astype(np.float32)
    smooth = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    values = np.asarray(smooth)
    return (values - values.min()) / (values.max() - values.min())


def text_page(dark: bool, seed: int) -> Array:
    rng = random.Random(seed)
    picture = Image.new("L", (600, 800), 0 if dark else 255)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=rng.choice([9, 12, 16, 24]))
    for line in range(30, 770, rng.choice([14, 22, 34])):
        words = "".join(rng.choice("abcdefg hij klmno pqrst uvwxyz") for _ in range(60))
        pen.text((30, line), words, fill=255 if dark else 0, font=font)
    return np.array(picture)


def drawing(seed: int) -> Array:
    rng = random.Random(seed)
    picture = Image.new("L", (SIDE, SIDE), rng.choice([0, 128, 255]))
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.randint(2, 25)):
        x, y = rng.randint(0, 350), rng.randint(0, 350)
        place = (x, y, x + rng.randint(20, 300), y + rng.randint(20, 300))
        shade = rng.randint(0, 255)
        kind = rng.choice(["ellipse", "rectangle", "line"])
        if kind == "ellipse":
            pen.ellipse(place, fill=shade)
        elif kind == "rectangle":
            pen.rectangle(place, fill=shade)
        else:
            pen.line(place, fill=shade, width=rng.randint(1, 12))
    blur = rng.choice([0, 0, 3, 8])
    return np.array(picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture)


def two_blobs(seed: int) -> Array:
    """Two dark ovals on grey: what a gate that only looks for dark lungs would take."""
    rng = np.random.default_rng(seed)
    axis = np.linspace(-1, 1, SIDE)
    x, y = np.meshgrid(axis, axis)
    wide, high = rng.uniform(0.2, 0.35), rng.uniform(0.4, 0.8)
    inside = np.hypot((np.abs(x) - rng.uniform(0.35, 0.5)) / wide, y / high) < 1
    values = np.where(inside, rng.uniform(0.05, 0.3), rng.uniform(0.5, 0.9))
    picture = Image.fromarray(np.uint8(values * 255))
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 12)))))
    return np.clip(soft / 255 + rng.normal(0, rng.uniform(0, 0.06), values.shape), 0, 1)


def generated(each: int) -> Iterator[tuple[str, str, bytes]]:
    """Noise, clouds, text, drawings, colours, gradients: family, name, file."""
    for seed in range(each):
        rng = np.random.default_rng(seed)
        noises = {
            "even": rng.random((SIDE, SIDE)),
            "normal": rng.normal(0.5, 0.15, (SIDE, SIDE)),
            "colour": rng.random((SIDE, SIDE, 3)),
        }
        for name, values in noises.items():
            yield "noise", f"{name} {seed}", as_file(values)
        yield "clouds", f"{seed}", as_file(clouds(int(rng.choice([3, 4, 6, 8, 12, 24, 64])), seed))
        yield "text pages", f"{seed}", as_file(text_page(seed % 2 == 1, seed))
        yield "drawings", f"{seed}", as_file(drawing(seed))
        yield "two blobs", f"{seed}", as_file(two_blobs(seed))
        colour = np.uint8(np.tile(rng.integers(0, 256, 3), (SIDE, SIDE, 1)))
        yield "plain colours", f"{seed}", as_file(colour)
        grey = np.full((SIDE, SIDE), rng.random())
        yield "plain greys", f"{seed}", as_file(grey)
        angle = rng.uniform(0, 2 * np.pi)
        axis = np.linspace(-0.5, 0.5, SIDE)
        ramp = np.add.outer(axis * np.sin(angle), axis * np.cos(angle)) / 1.5 + 0.5
        yield "gradients", f"{seed}", as_file(ramp)


def everything(folders: list[Path], each: int) -> Iterator[tuple[str, str, bytes]]:
    """Family, name and file of every picture that must be refused."""
    yield from (("pydicom files", *one) for one in pydicom_files())
    yield from (("pydicom exports", *one) for one in pydicom_exports())
    installed = [Path(sysconfig.get_path("purelib"))]
    yield from (("package pictures", *one) for one in package_pictures(installed + folders))
    yield from (("MR volumes", *one) for one in scans(folders))
    yield from generated(each)


def refusal(
    predictor: Predictor,
    segmenter: LungSegmenter | None,
    data: bytes,
    limits: Limits = DEFAULT_LIMITS,
) -> str | None:
    """The code of the first gate that refuses a file: imaging, quality, then posture; None when it
    is let in.

    :param segmenter: None leaves posture out.
    """
    try:
        image = decode(data, limits)
    except ImagingError as error:
        return error.code
    quality = predictor.predict(image).quality
    if not quality.accepted or segmenter is None:
        return quality.code
    posture = judge_posture(segmenter, image.pixels)
    return None if posture.accepted else posture.code


def main(arguments: list[str]) -> None:
    """Print the evidence, without and with the posture gate."""
    parser = argparse.ArgumentParser(prog="python -m tests.ml.others")
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    predictor, segmenter = Predictor.load(), LungSegmenter.load()
    families: dict[str, dict[str, Any]] = {}
    for family, name, data in everything(options.folders, each=60):
        counts = families.setdefault(
            family, {"shown": 0, "refused": 0, "refused_with_posture": 0, "pass_quality": {}}
        )
        counts["shown"] += 1
        if refusal(predictor, None, data) is not None:
            counts["refused"] += 1
            counts["refused_with_posture"] += 1
        else:
            counts["pass_quality"][name] = code = refusal(predictor, segmenter, data)
            counts["refused_with_posture"] += code is not None
    keys = ("shown", "refused", "refused_with_posture")
    total = {key: sum(counts[key] for counts in families.values()) for key in keys}
    package = predictor.package
    result = {
        "model": {"name": package.name, "version": package.version},
        "all": total,
        "families": families,
    }
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
