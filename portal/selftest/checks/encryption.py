"""Whether what is kept is encrypted: files by the portal, the database by its disk."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.core.files.storage import FileSystemStorage
from django.db import connections

from portal.selftest.registry import Bench, Outcome, failed, not_applicable, passed, self_check
from screening.core.disks import Disk, disk_under
from screening.core.sealing import is_sealed
from screening.studies.sealed_storage import encrypts, keys_in_use, missing_keys, sealed_storage


@self_check(
    "files-encrypted",
    "Stored images are encrypted",
    asvs=("V11.3", "V14.2"),
    hipaa=("164.312(a)(2)(iv)",),
    needs_scratch=True,
)
def files_are_encrypted(bench: Bench) -> Outcome:
    """Looks at the bytes on the disk, not at the setting."""
    kept = Path(FileSystemStorage().path(bench.scratch.image.original))
    with kept.open("rb") as handle:
        sealed = is_sealed(handle.read(64))
    if not encrypts():
        if sealed:
            return failed("Files are encrypted although FILE_ENCRYPTION is off.")
        return not_applicable(
            "FILE_ENCRYPTION is off: whoever reads the disk reads the images. Turn it on, or "
            "encrypt the disk."
        )
    if not sealed:
        return failed("FILE_ENCRYPTION is on, but a new image lies there unencrypted.")
    return passed("A new image is encrypted on the disk.")


@self_check(
    "file-keys",
    "Every key that stored files need is there",
    asvs=("V11.1", "V13.3"),
    hipaa=("164.312(a)(2)(iv)",),
)
def keys_are_there(bench: Bench) -> Outcome:
    storage = sealed_storage()
    missing, used = missing_keys(storage), len(keys_in_use(storage))
    if missing:
        return failed(f"Missing: {', '.join(missing)}. Put them back; their files can't be read.")
    if not used:
        return not_applicable("No stored file is encrypted.")
    return passed("Each opens what it locked.", keys=used)


@self_check(
    "disk-encrypted",
    "The disk of database and files is encrypted",
    asvs=("V11.3", "V14.2"),
    hipaa=("164.312(a)(2)(iv)",),
)
def disk_is_encrypted(bench: Bench) -> Outcome:
    """Looks for dm-crypt under the folders of this machine; other machines it can't see."""
    database = connections["default"].settings_dict
    places = {"files": Path(str(settings.MEDIA_ROOT))}
    if "sqlite" in database["ENGINE"]:
        places["database"] = Path(str(database["NAME"]))
    seen = {name: disk_under(path) is Disk.ENCRYPTED for name, path in places.items()}
    if all(seen.values()) and "database" in places:
        return passed("Database and files lie on an encrypted disk (dm-crypt).")
    known = ", ".join(f"{name}: {'yes' if found else 'not seen'}" for name, found in seen.items())
    return not_applicable(
        f"Can't be shown from here ({known}). A disk that the machine's host, a cloud or another "
        "machine encrypts is not visible: ask whoever runs it."
    )
