"""What may be asked of a conversion, as JSON and as object metadata."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiojobs.conversion import BIT_RATES, OPTION_NAMES, Conversion, misspelled_options
from audiojobs.errors import InvalidRequest


def test_without_wishes_it_is_32_khz_at_192_kb() -> None:
    conversion = Conversion.from_json({})

    assert conversion == Conversion()
    assert conversion.sample_rate == 32_000
    assert conversion.constant_bit_rate == 192_000
    assert conversion.channels is None
    assert not conversion.allow_partial


@pytest.mark.parametrize(
    ("sample_rate", "bit_rate"),
    [(48_000, 192_000), (32_000, 192_000), (24_000, 160_000), (16_000, 160_000), (12_000, 64_000), (8_000, 64_000)],
)
def test_the_default_bit_rate_is_the_highest_up_to_192_kb_that_the_sample_rate_has(
    sample_rate: int, bit_rate: int
) -> None:
    assert Conversion(sample_rate=sample_rate).constant_bit_rate == bit_rate


@pytest.mark.parametrize(
    ("sample_rates", "kilobits"),
    [
        ((48_000, 44_100, 32_000), (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)),
        ((24_000, 22_050, 16_000), (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)),
        ((12_000, 11_025, 8_000), (8, 16, 24, 32, 40, 48, 56, 64)),
    ],
    ids=["MPEG-1", "MPEG-2", "MPEG-2.5"],
)
def test_every_bit_rate_of_the_standard_can_be_had_and_no_other(
    sample_rates: tuple[int, ...], kilobits: tuple[int, ...]
) -> None:
    def is_taken(sample_rate: int, bit_rate: int) -> bool:
        try:
            return Conversion(sample_rate=sample_rate, bit_rate=bit_rate).constant_bit_rate == bit_rate
        except InvalidRequest:
            return False

    for sample_rate in sample_rates:
        assert tuple(rate for rate in range(400) if is_taken(sample_rate, 1000 * rate)) == kilobits


def test_a_vbr_quality_leaves_no_constant_bit_rate() -> None:
    assert Conversion(vbr_quality=0).constant_bit_rate is None


IMPOSSIBLE = {
    "sample rate that MP3 has not": ({"sample_rate": 44_000}, "sample_rate"),
    "sample rate of zero": ({"sample_rate": 0}, "sample_rate"),
    "96 kHz": ({"sample_rate": 96_000}, "sample_rate"),
    "bit rate that no MP3 has": ({"bit_rate": 100_000}, "bit_rate"),
    "bit rate in kb/s": ({"bit_rate": 192}, "bit_rate"),
    "bit rate of MPEG-2 at 32 kHz": ({"bit_rate": 144_000}, "bit_rate"),
    "bit rate of MPEG-1 at 24 kHz": ({"sample_rate": 24_000, "bit_rate": 192_000}, "bit_rate"),
    "bit rate beyond LAME's at 8 kHz": ({"sample_rate": 8_000, "bit_rate": 80_000}, "bit_rate"),
    "bit rate and VBR": ({"bit_rate": 128_000, "vbr_quality": 2}, "vbr_quality"),
    "VBR below zero": ({"vbr_quality": -1}, "vbr_quality"),
    "VBR above nine": ({"vbr_quality": 10}, "vbr_quality"),
    "no channels": ({"channels": 0}, "channels"),
    "three channels": ({"channels": 3}, "channels"),
    "six channels": ({"channels": 6}, "channels"),
}


@pytest.mark.parametrize(("values", "field"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_an_impossible_wish_names_its_field_as_json(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Conversion.from_json(values)

    assert refusal.value.field == field
    assert field in refusal.value.detail


@pytest.mark.parametrize(("values", "field"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_an_impossible_wish_names_its_field_as_metadata(values: dict[str, Any], field: str) -> None:
    metadata = {name.replace("_", "-"): str(value) for name, value in values.items()}

    with pytest.raises(InvalidRequest) as refusal:
        Conversion.from_metadata(metadata)

    assert refusal.value.field == field


@pytest.mark.parametrize("name", ["sample_rate", "bit_rate", "vbr_quality", "channels"])
@pytest.mark.parametrize("value", ["32000", 32_000.0, True, [], {}], ids=repr)
def test_json_numbers_are_whole_numbers_and_nothing_like_them(name: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Conversion.from_json({name: value})

    assert refusal.value.field == name


@pytest.mark.parametrize("value", ["true", 1, 0, [], "yes"], ids=repr)
def test_allow_partial_is_true_or_false_in_json(value: object) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Conversion.from_json({"allow_partial": value})

    assert refusal.value.field == "allow_partial"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"allow_partial": 1}, "allow_partial must be true or false."),
        ({"channels": "2"}, "channels must be a whole number."),
    ],
    ids=["a switch", "a number"],
)
def test_what_json_must_be_is_told(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Conversion.from_json(values)

    assert refusal.value.detail == sentence


def test_json_null_means_not_given() -> None:
    nothing = dict.fromkeys(("sample_rate", "bit_rate", "vbr_quality", "channels", "allow_partial"))

    assert Conversion.from_json(nothing) == Conversion()


def test_metadata_numbers_may_begin_with_zeros() -> None:
    assert Conversion.from_metadata({"sample-rate": "000044100"}).sample_rate == 44_100


def test_zero_is_a_quality_and_not_the_absence_of_one() -> None:
    assert Conversion.from_json({"vbr_quality": 0}).vbr_quality == 0
    assert Conversion.from_metadata({"vbr-quality": "0"}).vbr_quality == 0


@pytest.mark.parametrize("name", ["sample-rate", "bit-rate", "vbr-quality", "channels"])
@pytest.mark.parametrize(
    "text",
    ["", " ", "2.0", "-1", "+2", "1_0", "0x2", "two", "²", "٢", "9" * 10, "9" * 5000, "2\n"],
    ids=lambda text: repr(text[:12]),
)
def test_metadata_numbers_are_plain_digits(name: str, text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Conversion.from_metadata({name: text})

    assert refusal.value.field == name.replace("-", "_")


@pytest.mark.parametrize(("text", "allowed"), [("true", True), ("TRUE", True), ("False", False)])
def test_allow_partial_as_metadata(text: str, allowed: bool) -> None:
    assert Conversion.from_metadata({"allow-partial": text}).allow_partial is allowed


@pytest.mark.parametrize("text", ["", "1", "yes", "on"])
def test_allow_partial_as_metadata_is_a_word(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Conversion.from_metadata({"allow-partial": text})

    assert refusal.value.field == "allow_partial"


def test_metadata_of_others_is_not_looked_at() -> None:
    assert Conversion.from_metadata({"s3cmd-attrs": "uid:0", "bitrate": "1"}) == Conversion()


def test_metadata_may_be_spelled_as_the_fields_of_the_api_are() -> None:
    metadata = {"sample_rate": "44100", "bit_rate": "128000", "allow_partial": "true"}

    assert Conversion.from_metadata(metadata) == Conversion(44_100, 128_000, allow_partial=True)


def test_two_spellings_of_one_option_agree_or_are_refused() -> None:
    assert Conversion.from_metadata({"bit-rate": "64000", "bit_rate": "64000"}).bit_rate == 64_000
    with pytest.raises(InvalidRequest) as refusal:
        Conversion.from_metadata({"bit-rate": "64000", "bit_rate": "128000"})

    assert refusal.value.field == "bit_rate"


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("bitrate", "bit_rate"),
        ("samplerate", "sample_rate"),
        ("sampling-rate", "sample_rate"),
        ("sample_rates", "sample_rate"),
        ("vbrquality", "vbr_quality"),
        ("quality", "vbr_quality"),
        ("channel", "channels"),
        ("chanels", "channels"),
        ("allowpartial", "allow_partial"),
        ("allow-partials", "allow_partial"),
    ],
)
def test_what_looks_like_an_option_is_found(name: str, option: str) -> None:
    assert misspelled_options({name: "1", "owner": "me"}) == {name: option}


@pytest.mark.parametrize(
    "name",
    [
        *OPTION_NAMES,
        *(name.replace("_", "-") for name in OPTION_NAMES),
        *("mtime", "s3cmd-attrs", "md5chksum", "owner", "title", "artist", "rate", "frame-rate", "bit-depth"),
        *("sample-name", "sample-id", "channel-name", "partial", "birth-date", "sha256", "x", ""),
    ],
)
def test_other_metadata_is_no_misspelled_option(name: str) -> None:
    assert misspelled_options({name: "1"}) == {}


possible = st.builds(
    lambda rates, rate, quality, channels, partial: Conversion(
        rates, None if quality is not None else rate(rates), quality, channels, partial
    ),
    st.sampled_from(sorted(BIT_RATES)),
    st.sampled_from([lambda _: None, lambda rate: BIT_RATES[rate][0], lambda rate: BIT_RATES[rate][-1]]),
    st.none() | st.integers(0, 9),
    st.sampled_from([None, 1, 2]),
    st.booleans(),
)


@given(possible)
def test_every_possible_conversion_comes_back_from_json_and_from_metadata(conversion: Conversion) -> None:
    as_json = conversion.as_json()
    metadata = {name.replace("_", "-"): str(value) for name, value in as_json.items()}

    assert Conversion.from_json(as_json) == conversion
    assert Conversion.from_metadata(metadata) == conversion


@given(st.dictionaries(st.sampled_from(["sample-rate", "bit-rate", "vbr-quality", "channels", "x"]), st.text()))
def test_metadata_gives_a_conversion_or_names_a_field(metadata: dict[str, str]) -> None:
    field: str | None = None
    conversion: Conversion | None = None

    try:
        conversion = Conversion.from_metadata(metadata)
    except InvalidRequest as refusal:
        field = refusal.field

    assert conversion is not None or (field or "").replace("_", "-") in metadata
