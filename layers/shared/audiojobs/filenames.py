"""Which characters a file's name may have, wherever it came from and wherever it goes."""

from __future__ import annotations

import unicodedata

_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, lone surrogates, line and paragraph separators
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def harmless(name: str) -> str:
    """The name with ``_`` for every character that steers or turns."""
    return "".join(character if is_harmless(character) else "_" for character in name)


def is_harmless(character: str) -> bool:
    """Whether a character only stands for itself: it steers no terminal or header, and turns no text around.

    Spaces of every width are harmless, and so is what joins emoji; real names have them.
    """
    return unicodedata.category(character) not in _CONTROLS and character not in _DIRECTIONS
