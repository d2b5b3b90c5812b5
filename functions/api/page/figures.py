"""Words for figures, in the language of the page. What stands here in Python, ``figures.js`` says in the browser.

A test compares the two, page by page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any

from api.page.languages import Language
from audiojobs.job import Source, rfc3339

_FORMATS = Path(__file__).parent / "formats.json"

# Unicode CLDR: who writes 4,3 and who 4.3. Spanish and German have both.
_COMMA_LANGUAGES = ("de", "fr", "es")
_POINT_LOCALES = frozenset(
    {
        "de-CH",
        "de-LI",
        *(f"es-{region}" for region in ("MX", "US", "GT", "HN", "NI", "PA", "PE", "PR", "SV", "DO", "419")),
    }
)

_PCM = re.compile(r"pcm_([suf])(\d+)(?:le|be)?(?:_planar)?")


class Figures:
    """Sizes in bytes, times in seconds, sample rates in Hz."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._units: Mapping[str, Any] = language.texts["units"]

    def size(self, size_bytes: int) -> str:
        """4350000 -> ``4.4 MB``."""
        if size_bytes < 1000:
            return self.counted("bytes", size_bytes)
        divisor, unit = (1e3, "kB") if size_bytes < 999_500 else (1e6, "MB") if size_bytes < 999.5e6 else (1e9, "GB")
        value = size_bytes / divisor
        return self._with_unit(unit, self._rounded(value, 1 if value < 9.95 and value % 1 else 0))

    def clock(self, seconds: float) -> str:
        """83.2 -> ``1:23``, 3723 -> ``1:02:03``."""
        minutes, rest = divmod(int(_half_up(seconds, 0)), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

    def two_lengths(self, declared: float, there: float) -> dict[str, str]:
        """Two lengths that differ, as exactly as it takes to see that."""
        if self.clock(declared) != self.clock(there):
            return {"declared": self.clock(declared), "there": self.clock(there)}
        return {
            name: self._with_unit("s", self._plain(value, 3))
            for name, value in (("declared", declared), ("there", there))
        }

    def span(self, seconds: float) -> str:
        """300 -> ``5 minutes``."""
        whole = max(0, int(_half_up(seconds, 0)))
        for unit, length, least in (("days", 86_400, 172_800), ("hours", 3600, 7200), ("minutes", 60, 120)):
            if whole >= least:
                return self.counted(unit, int(_half_up(whole / length, 0)))
        return self.counted("seconds", whole)

    def percent(self, share: float) -> str:
        """0.437 -> ``43%``."""
        return self._with_unit("percent", str(int(share * 100)))

    def kilohertz(self, sample_rate: int) -> str:
        """44100 -> ``44.1 kHz``."""
        return self._with_unit("kHz", self._plain(sample_rate / 1000, 3))

    def kilobits(self, bit_rate: int) -> str:
        """192000 bit/s -> ``192 kb/s``."""
        return self._with_unit("kb/s", self._rounded(bit_rate / 1000, 0))

    def channels(self, count: int) -> str:
        """1 -> ``mono``, 6 -> ``6 channels``."""
        named = {1: "mono", 2: "stereo"}.get(count)
        return self._units[named] if named else self.counted("channels", count)

    def format(self, source: Source) -> str:
        """``WAV, 16-bit``: container and codec as people call them, once where both have one name."""
        names = names_of_formats()
        container = names["containers"].get(source.container) or _rest(source.container)
        codec = names["codecs"].get(source.codec)
        if codec is None and (match := _PCM.fullmatch(source.codec)):
            codec = self._units["float" if match[1] == "f" else "bits"].replace("{count}", match[2])
        codec = codec or _rest(source.codec)
        return container if codec == container else f"{container}, {codec}"

    def moment(self, moment: float) -> str:
        """In UTC, spelled so that nobody takes the month for the day: the server does not know where the reader is."""
        return rfc3339(moment)[:16].replace("T", " ") + " UTC"

    def counted(self, unit: str, count: int) -> str:
        """``1 minute``, ``5 minutes``."""
        forms = self._units[unit]
        form = forms.get(_plural_category(self._language.tag, count)) or forms["other"]
        return str(form).replace("{count}", str(count))

    def _with_unit(self, unit: str, value: str) -> str:
        return str(self._units[unit]).replace("{value}", value)

    def _rounded(self, value: float, decimals: int) -> str:
        return self._spelled(str(_half_up(value, decimals)))

    def _plain(self, value: float, decimals: int) -> str:
        """With no zeros at the end."""
        text = str(_half_up(value, decimals))
        return self._spelled(text.rstrip("0").rstrip("."))

    def _spelled(self, number: str) -> str:
        comma = self._language.tag in _COMMA_LANGUAGES and self._language.locale not in _POINT_LOCALES
        return number.replace(".", ",") if comma else number


def _half_up(value: float, decimals: int) -> Decimal:
    """Rounded as JavaScript's ``toFixed`` does: ``round`` takes 2.5 to 2."""
    return Decimal(value).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def _plural_category(tag: str, count: int) -> str:
    """Of whole numbers, by Unicode CLDR: in French, none is one too."""
    return "one" if count == 1 or (tag == "fr" and count == 0) else "other"


def _rest(name: str) -> str:
    return name.replace("_", " ").upper()


@cache
def names_of_formats() -> Mapping[str, Any]:
    """What containers and codecs are called (by ffprobe's names), and which files a browser's dialog offers."""
    names: Mapping[str, Any] = json.loads(_FORMATS.read_text(encoding="utf-8"))
    return names
