"""Why a job did not end in a result: a stable code, and a sentence that a clinician understands."""

from __future__ import annotations

MESSAGES = {
    "model_missing": (
        "No model is installed, so no picture can be classified. Ask your administrator."
    ),
    "model_hash_mismatch": (
        "The model's files are not the ones that were released, so it is not used. "
        "Ask your administrator."
    ),
    "model_invalid": "The installed model can't be used. Ask your administrator.",
    "model_preprocessing_mismatch": (
        "The installed model belongs to another version of the portal, so it is not used. "
        "Ask your administrator."
    ),
    "no_answer": "The model gave no usable answer for this image. Ask your administrator.",
    "image_missing": "The stored file of this image is gone. Upload it again.",
    "image_changed": (
        "The stored file is not the one that was uploaded, so it is not classified. "
        "Ask your administrator and upload it again."
    ),
    "corrupt_image": "The stored file can't be read any more. Upload it again.",
    "storage_key_missing": (
        "The key of this stored file is missing. Ask your administrator, then press Retry."
    ),
    "stored_file_damaged": "The stored file of this image is damaged. Upload it again.",
    "storage_unavailable": "The file store did not answer. Retry in some minutes.",
    "out_of_memory": "The portal ran out of memory with this image. Retry when it is less busy.",
    "timed_out": "Classifying this image took too long. Retry when the portal is less busy.",
    "worker_lost": "The worker broke down with this image several times. Retry, or ask for help.",
    "unexpected": "Something went wrong while classifying this image. Retry, or ask for help.",
}


HONEST_SHARE = 0.95
"""Of the time limit: a verdict that took longer is thrown away. The limit's interruption may have
struck inside a library that swallowed it and went on with half of what it had read."""


class Failure(Exception):
    """The engine could not look at the image. Carries nothing about the patient."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class TransientFailure(Failure):
    """It may work the next time."""


class PermanentFailure(Failure):
    """It will not work until somebody changes something."""


def message_of(code: str) -> str:
    return MESSAGES.get(code, MESSAGES["unexpected"])
