"""The languages of the page: which one a browser gets (RFC 9110, section 12.5.4), and its words.

The words are in ``texts/``, one file a language, and every file has the same keys and placeholders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "de", "fr", "es", "ja")

_FOLDER = Path(__file__).parent / "texts"
_DEFAULT_LOCALE = "en-GB"
_MAX_RANGES = 50
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")
_LOCALE = re.compile(r"([a-z]{2})(?:-[A-Za-z]{4})?-([A-Za-z]{2}|[0-9]{3})(?:-.*)?")


@dataclass(frozen=True, slots=True)
class Language:
    """``tag`` names the words (``de``); ``locale`` how dates and numbers are written (``de-CH``)."""

    tag: str
    locale: str

    @property
    def texts(self) -> Mapping[str, Any]:
        return _texts(self.tag)


ENGLISH = Language("en", _DEFAULT_LOCALE)


def choose_language(accept_language: str | None) -> Language:
    """The language that a browser likes best of those that there are; English where it likes none.

    A range takes the language that it begins with (RFC 4647, section 3.4: ``de-AT`` gets ``de``). Of two that are liked
    alike, the one named first is taken. A range that is not well-formed is as if it were not there.
    """
    ranges = list(_ranges(accept_language or ""))
    liked: dict[str, tuple[float, int, str]] = {}  # by language: quality, place in the header, range
    for place, (name, quality) in enumerate(ranges):
        tag = name.lower().partition("-")[0]
        if tag in LANGUAGES and (tag not in liked or quality > liked[tag][0]):
            liked[tag] = (quality, place, name)
    for place, (name, quality) in enumerate(ranges):
        if name == "*":
            for tag in LANGUAGES:
                liked.setdefault(tag, (quality, place, tag))
    wanted = [(-quality, place, tag, name) for tag, (quality, place, name) in liked.items() if quality > 0]
    if not wanted:
        return ENGLISH
    # `*` gives every language the same place: then it is the first of ours.
    _, _, tag, name = min(wanted, key=lambda entry: (*entry[:2], LANGUAGES.index(entry[2])))
    return Language(tag, _locale(tag, name))


def _ranges(header: str) -> Iterator[tuple[str, float]]:
    for part in header.split(",")[:_MAX_RANGES]:
        if match := _RANGE.fullmatch(part.strip()):
            yield match[1], float(match[2] or 1)


def _locale(tag: str, name: str) -> str:
    """``DE-ch`` -> ``de-CH``: what both Python and the browser take for a locale."""
    if match := _LOCALE.fullmatch(name.lower()):
        return f"{tag}-{match[2].upper()}"
    return _DEFAULT_LOCALE if tag == "en" else tag


@cache
def _texts(tag: str) -> Mapping[str, Any]:
    texts: Mapping[str, Any] = json.loads((_FOLDER / f"{tag}.json").read_text(encoding="utf-8"))
    return texts
