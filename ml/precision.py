"""What Keras layers multiply in while they are being built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def precision(*, half: bool) -> Iterator[None]:
    """With ``half``, layers built inside multiply in bfloat16; weights and sums stay float32."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if half else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
