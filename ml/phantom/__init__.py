"""Drawn chest phantoms: pictures to try the product with, that show no human being."""

from ml.phantom.anatomy import FINDINGS, Finding, draw_phantom
from ml.phantom.files import SYNTAXES, encode_dicom, phantom_dicom, phantom_jpeg, phantom_png

__all__ = [
    "FINDINGS",
    "SYNTAXES",
    "Finding",
    "draw_phantom",
    "encode_dicom",
    "phantom_dicom",
    "phantom_jpeg",
    "phantom_png",
]
