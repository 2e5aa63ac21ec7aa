"""Short names of the reasons for which an image got no answer."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

NAMES = {
    "not_a_radiograph": _("Not a chest X-ray"),
    "too_dark": _("Almost all black"),
    "too_bright": _("Almost all white"),
    "low_contrast": _("Too little contrast"),
    "no_lungs": _("No lungs found"),
    "turned": _("Lies on its side"),
    "upside_down": _("Upside down"),
    "inverted": _("Black and white exchanged"),
    "model_missing": _("No model installed"),
    "model_hash_mismatch": _("Model files changed"),
    "model_invalid": _("Model cannot be used"),
    "model_preprocessing_mismatch": _("Model of another version"),
    "no_answer": _("No usable answer"),
    "image_missing": _("Stored file gone"),
    "image_changed": _("Stored file changed"),
    "corrupt_image": _("Stored file unreadable"),
    "storage_unavailable": _("File store away"),
    "out_of_memory": _("Out of memory"),
    "timed_out": _("Took too long"),
    "worker_lost": _("Worker broke down"),
    "unexpected": _("Unexpected fault"),
}


def name_of(code: str) -> str:
    """The code's name, or the code itself where it has none."""
    return str(NAMES.get(code, code))
