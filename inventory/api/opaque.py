"""Ids for rows that have no public one of their own: a keyed permutation of the bare number.

The number itself would tell how much the whole market does.
"""

from __future__ import annotations

import hashlib
import re

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from django.conf import settings

JOURNAL = "jrn"
_HEX = re.compile(r"^[0-9a-f]{32}$")


def _cipher(prefix: str) -> Cipher[modes.ECB]:
    # One block, one key per kind: ECB is exactly the permutation that is wanted.
    key = hashlib.sha256(f"opaque:{prefix}:{settings.SECRET_KEY}".encode()).digest()
    return Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305


def conceal(prefix: str, number: int) -> str:
    """`jrn_` and 32 hexadecimal digits for a row's number."""
    encryptor = _cipher(prefix).encryptor()
    return f"{prefix}_{(encryptor.update(number.to_bytes(16, 'big')) + encryptor.finalize()).hex()}"


def reveal(prefix: str, text: str) -> int | None:
    """The number behind `text`, or None where it is none of ours."""
    head, _, tail = text.partition("_")
    if head != prefix or not _HEX.match(tail):
        return None
    decryptor = _cipher(prefix).decryptor()
    number = int.from_bytes(decryptor.update(bytes.fromhex(tail)) + decryptor.finalize(), "big")
    return number if number < 2**63 else None
