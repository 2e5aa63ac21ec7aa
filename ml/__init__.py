"""The chest X-ray classifier of ThoraScreen, usable with no web framework at all.

Importing this package, or any module that only serves or evaluates, loads no TensorFlow.
"""

from typing import Final

CLASSES: Final = ("covid", "pneumonia", "normal")
"""The three classes in the order of every logit, probability and class-map axis."""
