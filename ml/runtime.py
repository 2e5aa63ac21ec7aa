"""The two ways to run a released network: LiteRT for serving, Keras as the reference.

Both take one prepared picture and give the same three outputs. Both hold a lock while they run: a
network's buffers belong to one picture at a time, so that no answer depends on who else is asking.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np

from ml.package import ModelPackage, PackageError
from ml.preprocess import FloatArray

RuntimeName = Literal["litert", "keras"]
OUTPUTS: Final = ("logits", "cam", "features")


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What the network says of one picture."""

    logits: FloatArray
    """(3,)"""
    cam: FloatArray
    """(h, w, 3); the mean over h and w is ``logits``."""
    features: FloatArray
    """(channels,)"""


class Runtime(Protocol):
    """Runs the network on one picture."""

    channels: int
    """1 for greys, 2 for greys and the lungs' share of each place."""

    def run(self, prepared: FloatArray) -> Outputs:
        """:param prepared: (size, size, channels) float32, a look of ``ml.view``."""


def open_runtime(package: ModelPackage, name: RuntimeName, threads: int = 1) -> Runtime:
    """Load a network.

    :raises PackageError: ``model_invalid`` when the file holds no such network.
    :raises ValueError: for an unknown runtime.
    """
    if name not in ("litert", "keras"):
        raise ValueError(f"unknown runtime {name!r}: choose litert or keras")
    try:
        return _LiteRT(package, threads) if name == "litert" else _Keras(package)
    # whatever a loader makes of a wrong file, it means the same
    except Exception as error:
        raise PackageError("model_invalid", f"The model cannot be loaded by {name}.") from error


class _LiteRT:
    def __init__(self, package: ModelPackage, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        # kept: the interpreter reads its weights from here as long as it lives
        self._content = package.litert_path.read_bytes()
        self._interpreter = Interpreter(model_content=self._content, num_threads=threads)
        self._runner = self._interpreter.get_signature_runner()
        ((self._input, details),) = self._runner.get_input_details().items()
        self.channels = int(details["shape"][-1])
        if set(self._runner.get_output_details()) != set(OUTPUTS):
            raise ValueError("the network lacks an output")
        self._lock = threading.Lock()

    def run(self, prepared: FloatArray) -> Outputs:
        with self._lock:
            answer = self._runner(**{self._input: prepared[np.newaxis]})
            return _outputs({name: np.array(answer[name][0]) for name in OUTPUTS})


class _Keras:
    def __init__(self, package: ModelPackage) -> None:
        import keras
        import tensorflow as tf

        self._tensorflow: Any = tf
        model = keras.saving.load_model(package.keras_path, compile=False)
        self._call = tf.function(lambda pictures: model(pictures, training=False))
        if set(model.output_names) != set(OUTPUTS):
            raise ValueError("the network lacks an output")
        self.channels = int(model.input_shape[-1])
        self._lock = threading.Lock()

    def run(self, prepared: FloatArray) -> Outputs:
        with self._lock:
            answer = self._call(self._tensorflow.constant(prepared[np.newaxis]))
            return _outputs({name: np.asarray(answer[name])[0] for name in OUTPUTS})


def _outputs(named: dict[str, FloatArray]) -> Outputs:
    if not all(np.isfinite(value).all() for value in named.values()):
        raise ArithmeticError("the network's answer is not a number")
    return Outputs(**named)
