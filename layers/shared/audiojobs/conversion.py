"""What a caller may ask of a conversion, and which combinations MP3 has.

The same options come as JSON numbers (``POST /jobs``) and as text (S3 object metadata,
``x-amz-meta-bit-rate: 128000``, or with ``_``); both become one :class:`Conversion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from audiojobs.errors import InvalidRequest

DEFAULT_SAMPLE_RATE = 32_000
DEFAULT_BIT_RATE = 192_000

# ISO/IEC 11172-3 (MPEG-1) and 13818-3 (MPEG-2 LSF) Layer III; below 16 kHz is MPEG-2.5, where LAME ends at 64 kb/s.
_MPEG1_BIT_RATES = tuple(
    1000 * kilobits for kilobits in (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
)
_MPEG2_BIT_RATES = tuple(1000 * kilobits for kilobits in (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160))
_MPEG25_BIT_RATES = tuple(rate for rate in _MPEG2_BIT_RATES if rate <= 64_000)

BIT_RATES: Mapping[int, tuple[int, ...]] = {
    48_000: _MPEG1_BIT_RATES,
    44_100: _MPEG1_BIT_RATES,
    32_000: _MPEG1_BIT_RATES,
    24_000: _MPEG2_BIT_RATES,
    22_050: _MPEG2_BIT_RATES,
    16_000: _MPEG2_BIT_RATES,
    12_000: _MPEG25_BIT_RATES,
    11_025: _MPEG25_BIT_RATES,
    8_000: _MPEG25_BIT_RATES,
}
"""Sample rate in Hz -> the constant bit rates in bit/s that MP3 has there."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """The MP3 that was asked for.

    ``sample_rate`` is in Hz, ``bit_rate`` in bit/s (constant), ``vbr_quality`` is LAME's -V scale
    (0 best .. 9 smallest), ``channels`` is 1 or 2. ``None`` means: not asked for.

    Raises :class:`~audiojobs.errors.InvalidRequest`, naming the field, for what MP3 does not have.
    """

    sample_rate: int = DEFAULT_SAMPLE_RATE
    bit_rate: int | None = None
    vbr_quality: int | None = None
    channels: int | None = None
    allow_partial: bool = False

    def __post_init__(self) -> None:
        if self.sample_rate not in BIT_RATES:
            raise InvalidRequest(f"sample_rate must be one of {_listed(sorted(BIT_RATES))} Hz.", field="sample_rate")
        if self.bit_rate is not None and self.vbr_quality is not None:
            raise InvalidRequest("Give bit_rate or vbr_quality, not both.", field="vbr_quality")
        if self.bit_rate is not None and self.bit_rate not in BIT_RATES[self.sample_rate]:
            rates = _listed(BIT_RATES[self.sample_rate])
            raise InvalidRequest(
                f"bit_rate at a sample_rate of {self.sample_rate} Hz must be one of {rates}.", field="bit_rate"
            )
        if self.vbr_quality is not None and not 0 <= self.vbr_quality <= 9:
            raise InvalidRequest("vbr_quality must be from 0 (best) to 9 (smallest).", field="vbr_quality")
        if self.channels not in (None, 1, 2):
            raise InvalidRequest("channels must be 1 or 2.", field="channels")

    @property
    def constant_bit_rate(self) -> int | None:
        """The bit rate in bit/s to encode at, or ``None`` for variable bit rate."""
        if self.vbr_quality is not None:
            return None
        return self.bit_rate or max(rate for rate in BIT_RATES[self.sample_rate] if rate <= DEFAULT_BIT_RATE)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Conversion:
        """Read the options from a JSON object. ``null`` counts as not given; other keys are not looked at.

        Raises :class:`~audiojobs.errors.InvalidRequest`.
        """
        given = {name: values[name] for name in OPTION_NAMES if values.get(name) is not None}
        for name, value in given.items():
            expected = bool if name == "allow_partial" else int
            if type(value) is not expected:
                kind = "true or false" if expected is bool else "a whole number"
                raise InvalidRequest(f"{name} must be {kind}.", field=name)
        return cls(**given)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Conversion:
        """Read the options from S3 object metadata: lower-case names without ``x-amz-meta-``, with ``-`` or ``_``.

        Raises :class:`~audiojobs.errors.InvalidRequest`.
        """
        given: dict[str, Any] = {}
        for name in OPTION_NAMES:
            texts = {metadata[spelling] for spelling in (name.replace("_", "-"), name) if spelling in metadata}
            if not texts:
                continue
            if len(texts) > 1:
                raise InvalidRequest(f"{name} is given twice, with different values.", field=name)
            (text,) = texts
            if name == "allow_partial":
                if text.lower() not in ("true", "false"):
                    raise InvalidRequest("allow-partial must be true or false.", field=name)
                given[name] = text.lower() == "true"
            elif text.isascii() and text.isdecimal() and len(text) < 10:
                given[name] = int(text)
            else:
                raise InvalidRequest(f"{name.replace('_', '-')} must be a whole number.", field=name)
        return cls(**given)

    def as_json(self) -> dict[str, Any]:
        """The options that were asked for; :meth:`from_json` gives them back."""
        return {name: value for name in OPTION_NAMES if (value := getattr(self, name)) is not None}


OPTION_NAMES = tuple(field.name for field in fields(Conversion))

_ALIKE = 0.81  # of difflib's ratio: takes "chanels" and "samplerate", not "sample-name" or "rate"


def misspelled_options(metadata: Mapping[str, str]) -> dict[str, str]:
    """Names in S3 object metadata that are no options but look like one, and the option that each looks like."""
    plain_names = {name.replace("_", ""): name for name in OPTION_NAMES}
    found = {}
    for given in sorted(metadata):
        if given.replace("-", "_") in OPTION_NAMES:
            continue
        plain = "".join(filter(str.isalnum, given.lower()))
        if alike := get_close_matches(plain, plain_names, n=1, cutoff=_ALIKE):
            found[given] = plain_names[alike[0]]
    return found


def _listed(numbers: list[int] | tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))
