"""The sentences with which ``ml.imaging`` refuses a file, listed so that they can be translated.

``studies.gate`` fills in the limits. A test holds the list to what is said now.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

KNOWN = (
    _("The file is empty: export it again from where it came."),
    _("The file is larger than {megabytes:g} MB: export it as JPEG or as compressed DICOM."),
    _("This kind of file cannot be read: send a single PNG, JPEG or DICOM (CR or DX) picture."),
    _("The picture is damaged or incomplete: export it again from where it came."),
    _("The picture has more than {megapixels:g} megapixels: export it at a lower resolution."),
    _(
        "The picture's short side has fewer than {min_side} pixels: send the original, "
        "not a thumbnail."
    ),
    _("This is not a plain radiograph: send a chest X-ray of modality CR or DX."),
)
