"""What the model, its gate and the workers say of an image, for people who read other languages.

``ml`` speaks English and knows no Django; its sentences are stored with the image as they were
said. Here they are listed so that they can be translated when they are shown. One that is not
listed, of an older or a newer model, stays in English; a test holds the list to what is said now.
"""

from __future__ import annotations

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

KNOWN = (
    _("This does not look like a frontal chest X-ray: check the file and send the right one."),
    _("The picture is almost all black: export it again with a proper window."),
    _("The picture is almost all white: export it again with a proper window."),
    _("The picture has too little contrast: export it again with a proper window."),
    _(
        "This picture is unlike the films that the model has learnt from: however certain"
        " the answer sounds, it says little."
    ),
    _("No lungs could be found: check that this is a frontal chest X-ray."),
    _("The picture lies on its side: turn it upright and send it again."),
    _("The picture is upside down: turn it upright and send it again."),
    _("Black and white are exchanged: export the picture with bones white."),
    _(
        "A good part of the lungs lies outside the picture: read the answer with care, or"
        " send the whole film."
    ),
    _("No shortcut was found: the answer needs the lungs."),
    _("Unreliable: the answer stays when the lungs are covered, so it does not rest on them."),
    _(
        "Unreliable: the answer goes when all but the lungs is covered, so it rests on "
        "what surrounds them."
    ),
    _("The lungs could not be found, so nobody can say where the answer comes from."),
    _("No model is installed, so no picture can be classified. Ask your administrator."),
    _(
        "The model's files are not the ones that were released, so it is not used. Ask "
        "your administrator."
    ),
    _("The installed model can't be used. Ask your administrator."),
    _(
        "The installed model belongs to another version of the portal, so it is not used."
        " Ask your administrator."
    ),
    _("The model gave no usable answer for this image. Ask your administrator."),
    _("The stored file of this image is gone. Upload it again."),
    _(
        "The stored file is not the one that was uploaded, so it is not classified. Ask "
        "your administrator and upload it again."
    ),
    _("The stored file can't be read any more. Upload it again."),
    _("The key of this stored file is missing. Ask your administrator, then press Retry."),
    _("The stored file of this image is damaged. Upload it again."),
    _("The file store did not answer. Retry in some minutes."),
    _("The portal ran out of memory with this image. Retry when it is less busy."),
    _("Classifying this image took too long. Retry when the portal is less busy."),
    _("The worker broke down with this image several times. Retry, or ask for help."),
    _("Something went wrong while classifying this image. Retry, or ask for help."),
)


def in_words(sentence: str) -> str:
    """The sentence in the language of the page."""
    return gettext(sentence) if sentence else ""
