"""References that people copy into a bank's form: short, checksummed, derived from a row's id.

`CH`, a letter for the kind of row, ten characters for the last 48 bits of its id, and two check
digits: `CHR0M4Q7XK2Y9D41`. The ten are Crockford's base 32 (no I, L, O and U, which read as 1, 1
and 0), the two ISO 7064 MOD 97-10, as in an IBAN: one wrong character, or two that changed
places, are always noticed. Nothing is stored: the row is found by the end of its id.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans("ILO", "110")
_LENGTH = 10
_HEX = 12  # digits of the id that it names: 48 bits
KINDS = {"R": "rsv", "B": "bsk", "W": "org", "F": "rfd", "P": "pay"}
PAYOUT = "CHP"  # how one of a payout begins
_LETTERS = {prefix: letter for letter, prefix in KINDS.items()}
# Between the characters people and banks put blanks and hyphens.
_SEPARATORS = re.compile(r"[\s\-_·./]+")
_TOKEN = re.compile(rf"CH([{''.join(KINDS)}])([0-9A-Z]{{{_LENGTH}}})([0-9IOL]{{2}})")
# What was meant as one: the right beginning, and about the right length.
_NEARLY = re.compile(rf"CH[{''.join(KINDS)}][0-9][0-9A-Z]{{{_LENGTH - 2},{_LENGTH + 2}}}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A code whose check digits are right: the kind of row, and the end of its id."""

    prefix: str  # of the public id
    tail: str  # its last twelve hexadecimal digits
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a remittance text says: whole references, each once, and whether one has a slip."""

    references: tuple[Reference, ...]
    has_typo: bool


def of(public_id: str) -> str:
    """The reference of the row of that public id."""
    prefix, _, digits = public_id.partition("_")
    body = _LETTERS[prefix] + _encode(int(digits[-_HEX:], 16))
    return f"CH{body}{_check('CH' + body):02d}"


def read(text: str) -> Found:
    """The references in a text, in any width and case, with blanks and hyphens between.

    A code is looked for with the separators taken out, since a form field breaks it anywhere.
    """
    plain = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text)).upper()
    found: dict[str, Reference] = {}
    rest: list[str] = []
    end = 0
    for match in _TOKEN.finditer(plain):
        reference = _whole(match[1], match[2].translate(_READ_AS), match[3].translate(_READ_AS))
        if reference is None:
            continue
        found[reference.text] = reference
        rest.append(plain[end : match.start()])
        end = match.end()
    rest.append(plain[end:])
    return Found(tuple(found.values()), has_typo=any(map(_NEARLY.search, rest)))


def _whole(letter: str, body: str, digits: str) -> Reference | None:
    if any(character not in _ALPHABET for character in body):
        return None
    if not digits.isascii() or int(digits) != _check(f"CH{letter}{body}"):
        return None
    number = 0
    for character in body:
        number = number * 32 + _ALPHABET.index(character)
    if number >> (4 * _HEX):
        return None
    return Reference(KINDS[letter], f"{number:0{_HEX}x}", f"CH{letter}{body}{digits}")


def _encode(number: int) -> str:
    characters = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, 32)
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))


def _check(text: str) -> int:
    """ISO 7064 MOD 97-10 over the text, each letter as two digits (A is 10)."""
    digits = "".join(str(int(character, 36)) for character in text)
    return 98 - int(digits + "00") % 97
