"""Files that come with a fapiao: what they are is read from them, not from their names."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import BinaryIO

from django.conf import settings

from billing.models import Fapiao, FapiaoFile
from inventory.errors import Invalid

PDF, OFD, XML = "application/pdf", "application/ofd", "application/xml"
ENDINGS = {PDF: "pdf", OFD: "ofd", XML: "xml"}


class FileRefused(Invalid):
    """Too large, empty, or not one of the forms a digital fapiao has."""

    code = "file_refused"
    title = "The file is not acceptable"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was looked at."""

    media_type: str
    content: bytes


def read_upload(file: BinaryIO) -> Upload:
    """The bytes of a PDF, OFD or XML file within the size allowed. Raises FileRefused."""
    content = file.read(settings.FAPIAO_FILE_BYTES + 1)
    if len(content) > settings.FAPIAO_FILE_BYTES:
        raise FileRefused("The file is too large")
    return Upload(_media_type(content), content)


def keep(fapiao: Fapiao, role: str, upload: Upload, at: datetime) -> FapiaoFile:
    return FapiaoFile.objects.create(
        fapiao=fapiao,
        role=role,
        media_type=upload.media_type,
        content=upload.content,
        sha256=hashlib.sha256(upload.content).hexdigest(),
        created_at=at,
    )


def _media_type(content: bytes) -> str:
    """GB/T 33190: an OFD is a ZIP with OFD.xml at its root."""
    if content.startswith(b"%PDF-") and b"%%EOF" in content[-2048:]:
        return PDF
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<?xml"):
        return XML
    if content.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(BytesIO(content)) as archive:
                if "OFD.xml" in archive.namelist():
                    return OFD
        except (zipfile.BadZipFile, ValueError):
            pass
    raise FileRefused("A fapiao's file is a PDF, an OFD or an XML")
