"""Centres and organisations in the reader's words."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.utils.translation import override

from marketplace.web import names


@dataclass
class Place:
    region: str
    hub: str


@pytest.mark.parametrize(
    ("region", "hub", "chinese", "english"),
    [
        ("贵州", "gzh", "贵州", "Guizhou"),
        ("安徽", "yrd", "安徽 · 长三角", "安徽 · Yangtze River Delta"),
        ("湖北", "none", "湖北", "湖北"),
    ],
)
def test_a_place_is_named_once(region: str, hub: str, chinese: str, english: str) -> None:
    for language, words in (("zh-hans", chinese), ("en", english)):
        with override(language):
            assert names.place(Place(region, hub)) == words
