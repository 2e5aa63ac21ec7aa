"""The chest X-ray classifier of ThoraScreen: training, evaluation and serving, with no web
framework.

Importing this package, or any module that only serves or evaluates, loads neither TensorFlow nor
Keras.
"""

from typing import Final

CLASSES: Final = ("covid", "pneumonia", "normal")
"""The three classes in the order of every logit, probability and class-map axis."""
