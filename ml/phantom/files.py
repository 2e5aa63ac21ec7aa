"""Phantoms as files: PNG, JPEG and valid DICOM of a fictional patient, in many shapes."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import FileDataset, FileMetaDataset

from ml.phantom.anatomy import Finding, draw_phantom

Size = tuple[int, int]
Modality = Literal["CR", "DX"]
Photometric = Literal["MONOCHROME1", "MONOCHROME2"]
Syntax = Literal["implicit", "explicit", "big_endian", "deflated", "rle", "jpeg2000"]

SYNTAXES: dict[Syntax, uid.UID] = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big_endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg2000": uid.JPEG2000Lossless,
}
CLASSES_OF: dict[Modality, uid.UID] = {
    "CR": uid.ComputedRadiographyImageStorage,
    "DX": uid.DigitalXRayImageStorageForPresentation,
}


def phantom_png(
    seed: int = 1, finding: Finding | None = None, size: Size = (1024, 1024), bits: int = 8
) -> bytes:
    """A phantom as a grey PNG of 8 or 16 bits."""
    picture = draw_phantom(seed, finding, size)
    return _pillow(_levels(picture, 16 if bits == 16 else 8), "PNG")


def phantom_jpeg(
    seed: int = 1, finding: Finding | None = None, size: Size = (1024, 1024), quality: int = 90
) -> bytes:
    """A phantom as a grey JPEG."""
    return _pillow(_levels(draw_phantom(seed, finding, size), 8), "JPEG", quality=quality)


def phantom_dicom(
    seed: int = 1,
    finding: Finding | None = None,
    size: Size = (1024, 1024),
    *,
    modality: Modality = "DX",
    photometric: Photometric = "MONOCHROME2",
    bits: int = 12,
    signed: bool = False,
    rescale: tuple[float, float] | None = None,
    window: tuple[float, float] | None = None,
    syntax: Syntax = "explicit",
) -> bytes:
    """A phantom as a DICOM file of a fictional patient. The same arguments give the same bytes.

    :param bits: bits stored, 8 to 16.
    :param rescale: slope and intercept to write.
    :param window: centre and width to write, in rescaled values.
    """
    levels = _levels(draw_phantom(seed, finding, size), bits)
    if photometric == "MONOCHROME1":
        levels = (2**bits - 1) - levels
    return encode_dicom(
        levels.astype(np.int32) - (2 ** (bits - 1) if signed else 0),
        seed=seed,
        modality=modality,
        photometric=photometric,
        bits=bits,
        signed=signed,
        rescale=rescale,
        window=window,
        syntax=syntax,
    )


def encode_dicom(
    stored: npt.NDArray[np.integer],
    *,
    seed: int = 1,
    modality: Modality = "DX",
    photometric: Photometric = "MONOCHROME2",
    bits: int = 12,
    signed: bool = False,
    rescale: tuple[float, float] | None = None,
    window: tuple[float, float] | None = None,
    syntax: Syntax = "explicit",
) -> bytes:
    """Wrap stored values, (h, w) integers, in a valid CR or DX file of a fictional patient."""
    dataset = _describe(seed, modality)
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.PresentationLUTShape = "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"
    dataset.BitsAllocated = 8 if bits <= 8 else 16
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    dataset.ImagerPixelSpacing = [round(430.0 / stored.shape[0], 4)] * 2
    if rescale is not None:
        dataset.RescaleSlope, dataset.RescaleIntercept = (f"{value:g}" for value in rescale)
        dataset.RescaleType = "US"
    if window is not None:
        dataset.WindowCenter, dataset.WindowWidth = (f"{value:g}" for value in window)
    target = SYNTAXES[syntax]
    little = syntax != "big_endian"
    kind = np.dtype(f"{'i' if signed else 'u'}{dataset.BitsAllocated // 8}")
    values = stored.astype(kind)
    data = (values if little else values.byteswap()).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated == 16 else "OB"
    native = (
        target if target not in (uid.RLELossless, uid.JPEG2000Lossless) else SYNTAXES["explicit"]
    )
    dataset.file_meta.TransferSyntaxUID = native
    if native != target:
        dataset.compress(target, generate_instance_uid=False)
    stream = io.BytesIO()
    pydicom.dcmwrite(
        stream,
        dataset,
        enforce_file_format=True,
        implicit_vr=syntax == "implicit",
        little_endian=little,
    )
    return stream.getvalue()


def _describe(seed: int, modality: Modality) -> FileDataset:
    meta = FileMetaDataset()
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID = CLASSES_OF[modality]
    study, series, instance = (
        uid.generate_uid(entropy_srcs=["thorascreen phantom", str(seed), part])
        for part in ("study", "series", "instance")
    )
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = instance
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.Modality = modality
    dataset.PatientName = f"Phantom^Number {seed}"
    dataset.PatientID = f"PHANTOM-{seed:04d}"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20200101"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "120000"
    dataset.AccessionNumber = f"A{seed:06d}"
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", "1", "1"
    dataset.StudyDescription = "Drawn chest phantom"
    dataset.ReferringPhysicianName = ""
    dataset.Manufacturer = "ThoraScreen phantom"
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.PatientOrientation = ["L", "F"]
    dataset.BurnedInAnnotation = "NO"
    if modality == "DX":
        dataset.PresentationIntentType = "FOR PRESENTATION"
        dataset.PixelIntensityRelationship = "LOG"
        dataset.PixelIntensityRelationshipSign = -1
        dataset.ImageLaterality = "U"
        dataset.LossyImageCompression = "00"
    else:
        del dataset.ConversionType
    return dataset


def _levels(picture: npt.NDArray[np.float32], bits: int) -> npt.NDArray[np.uint16]:
    levels: npt.NDArray[np.uint16] = np.rint(picture * np.float32(2**bits - 1)).astype(np.uint16)
    return levels if bits > 8 else levels.astype(np.uint8)


def _pillow(levels: npt.NDArray[np.uint16], kind: str, **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(levels).save(stream, kind, **options)
    return stream.getvalue()
