"""What may stay of a DICOM dataset: PS3.15 table E.1-1, and an allow-list for all it leaves open.

The table is that of the standard's edition 2026c as ``dicom-anonymizer`` keeps it. It lists what
identifies by its nature; beyond it the profile asks that nothing else identifies either, and any
text may. So whatever the table does not name is dropped too, unless it is needed to show or to
measure the picture and its value is a number in a plausible range or a word of a closed list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as edition
from pydicom import uid
from pydicom.datadict import keyword_for_tag
from pydicom.tag import Tag

EDITION: Final = "2026c"
_GROUPS: Final = {
    "D": edition.D_TAGS,
    "Z": edition.Z_TAGS,
    "X": edition.X_TAGS,
    "U": edition.U_TAGS,
    "Z/D": edition.Z_D_TAGS,
    "X/Z": edition.X_Z_TAGS,
    "X/D": edition.X_D_TAGS,
    "X/Z/D": edition.X_Z_D_TAGS,
    "X/Z/U*": edition.X_Z_U_STAR_TAGS,
}
ACTIONS: Final[dict[tuple[int, int], str]] = {
    entry: action for action, entries in _GROUPS.items() for entry in entries if len(entry) == 2
}
"""The action of the basic profile for each attribute that the table names one by one."""
REPEATING: Final = tuple(
    entry for entries in _GROUPS.values() for entry in entries if len(entry) == 4
)
"""Groups of attributes (curves, overlays, private ones): group, element and a mask for each."""

Check = Callable[[Any], Any]


def number(low: float, high: float) -> Check:
    """One number or several between ``low`` and ``high``; digits of another meaning do not fit."""

    def check(value: Any) -> list[str] | None:
        try:
            found = [float(str(one)) for one in several(value)]
        except ValueError:
            return None
        fits = all(math.isfinite(one) and low <= one <= high for one in found)
        return [f"{one:.10g}" for one in found] if found and fits else None

    return check


def word(*known: str) -> Check:
    """One of the words that the standard defines for the attribute."""

    def check(value: Any) -> str | None:
        text = str(value).strip("\0 ").upper()
        return text if text in known else None

    return check


def directions(value: Any) -> list[str] | None:
    """Patient Orientation (PS3.3 C.7.6.1.1.1): two groups of letters."""
    found = [str(one).strip().upper() for one in several(value)]
    fits = all(one and len(one) <= 3 and set(one) <= set("APRLHF") for one in found)
    return found if len(found) == 2 and fits else None


def several(value: Any) -> Sequence[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        return [value]
    return value


MILLIMETRES: Final = number(0.005, 10)
GREYS: Final = number(-140_000, 140_000)

KEPT: Final[dict[str, Check]] = {
    "Modality": word("CR", "DX"),
    "PresentationIntentType": word("FOR PRESENTATION", "FOR PROCESSING"),
    "BodyPartExamined": word("CHEST", "THORAX"),
    "ViewPosition": word("AP", "PA", "LL", "RL", "LLD", "RLD", "LLO", "RLO"),
    "ImageLaterality": word("L", "R", "U", "B"),
    "Laterality": word("L", "R"),
    "PatientOrientation": directions,
    "PixelSpacing": MILLIMETRES,
    "ImagerPixelSpacing": MILLIMETRES,
    "NominalScannedPixelSpacing": MILLIMETRES,
    "PixelSpacingCalibrationType": word("GEOMETRY", "FIDUCIAL"),
    "PixelIntensityRelationship": word("LIN", "LOG", "DISP"),
    "PixelIntensityRelationshipSign": number(-1, 1),
    "PresentationLUTShape": word("IDENTITY", "INVERSE"),
    "RescaleSlope": number(-10_000, 10_000),
    "RescaleIntercept": GREYS,
    "RescaleType": word("US", "OD", "HU", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"),
    "WindowCenter": GREYS,
    "WindowWidth": GREYS,
    "VOILUTFunction": word("LINEAR", "LINEAR_EXACT", "SIGMOID"),
    "PixelPaddingValue": GREYS,
    "PixelPaddingRangeLimit": GREYS,
    "LossyImageCompression": word("00", "01"),
    "KVP": number(10, 250),
    "ExposureTime": number(0, 20_000),
    "XRayTubeCurrent": number(0, 5_000),
    "Exposure": number(0, 10_000),
    "ExposureInuAs": number(0, 1_000_000),
    "DistanceSourceToDetector": number(100, 6_000),
    "DistanceSourceToPatient": number(100, 6_000),
    "ExposureIndex": number(0, 100_000),
    "TargetExposureIndex": number(0, 100_000),
    "DeviationIndex": number(-100, 100),
    "BurnedInAnnotation": word("YES", "NO"),
}
"""By keyword; what a check answers is written, and None drops the attribute."""

TABLES: Final = ("ModalityLUTSequence", "VOILUTSequence")
TABLE_TYPES: Final = word("US", "OD", "HU", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT")

SOP_CLASSES: Final = (
    uid.ComputedRadiographyImageStorage,
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalXRayImageStorageForProcessing,
    uid.SecondaryCaptureImageStorage,
)

DEIDENTIFICATION_CODES: Final = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}
"""PS3.16 CID 7050, of which an export uses some."""


def action_of(tag: int) -> str:
    """The basic profile's action for an attribute; empty where the table does not name it."""
    one = Tag(tag)
    if one.is_private:
        return "X"
    for group, element, group_mask, element_mask in REPEATING:
        if (
            one.group & group_mask == group & group_mask
            and one.element & element_mask == element & element_mask
        ):
            return "X"
    return ACTIONS.get((one.group, one.element), "")


def may_stay(tag: int) -> Check | None:
    """How to check an attribute that may stay; None where it must go."""
    return None if action_of(tag) else KEPT.get(keyword_for_tag(tag))
