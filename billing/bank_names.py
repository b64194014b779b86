"""Names of companies as banks write them, made comparable."""

from __future__ import annotations

import re
import unicodedata

from inventory.models import Organisation

# What banks put behind the name of the holder of an account.
_ACCOUNT_KINDS = re.compile(
    r"[(\[\-_ ]*(基本户|一般户|专户|结算户|临时户|待清算|对公|人民币户?|rmb|cny)[)\]]*$"
)
_SIGNS = re.compile(r"[\W_]+")
_ALIKE = (
    ("有限责任公司", "有限公司"),
    ("companylimited", "coltd"),
    ("limitedcompany", "coltd"),
    ("colimited", "coltd"),
    ("incorporated", "inc"),
    ("corporation", "corp"),
    ("limited", "ltd"),
)


def normal(name: str) -> str:
    """One form for all ways of writing a company's name.

    Full width as half width, any case, blanks, brackets and points left out, 有限责任公司 as
    有限公司, and without the kind of account behind it. What stands in brackets is part of the
    name: 某某北京有限公司 is not 某某有限公司.
    """
    text = unicodedata.normalize("NFKC", name).casefold().strip()
    before = None
    while before != text:
        before, text = text, _ACCOUNT_KINDS.sub("", text).strip()
    text = _SIGNS.sub("", text)
    for written, meant in _ALIKE:
        text = text.replace(written, meant)
    return text


def same(one: str, other: str) -> bool:
    """Whether two names are one company's; an empty one is nobody's."""
    found = normal(one)
    return bool(found) and found == normal(other)


def is_of(name: str, organisation: Organisation) -> bool:
    """Whether it is the organisation's, in either language."""
    return same(name, organisation.name) or same(name, organisation.name_en)
