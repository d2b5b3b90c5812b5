"""Streams that go over from one encoder to another, with sound that hypothesis makes up."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.join import AGREEMENT_FRAMES, SILENT_AGREEMENT_FRAMES, Join, last_frames
from resample.engine.parallel.mpeg_stream import RESERVOIR_FRAMES, EncodedStream, Expected

BIT_RATES = {1: 32_000, 9: 128_000, 13: 256_000, 14: 320_000}
SIDE_INFO_BYTES = 17
EXPECTED = Expected(sample_rate=32_000, channels=1, bit_rate=None)


@dataclass(frozen=True)
class Sound:
    """What one MPEG frame shall decode from: main data of ``bits``, filled by ``seed``."""

    bits: int
    seed: int

    @property
    def main_data(self) -> bytes:
        size = (self.bits + 7) // 8
        data = bytearray((self.seed * 31 + index * index) & 0xFF for index in range(size))
        if self.bits % 8:
            data[-1] &= 0xFF << -self.bits % 8 & 0xFF
        return bytes(data)


def lay(sounds: list[Sound], *, bit_rate_index: int = 9, reservoir: int = 0, stuffing: int = 0x55) -> bytes:
    """MPEG-1 Layer III, mono, 32 kHz: main data is laid as early as possible, but for ``reservoir`` bytes at first."""
    area = 144 * BIT_RATES[bit_rate_index] // 32_000 - 4 - SIDE_INFO_BYTES
    main_data = bytearray()
    begins = []
    for index, sound in enumerate(sounds):
        own_area = index * area
        if own_area - len(main_data) > min(511, reservoir if index < 20 else 511):
            main_data += bytes([stuffing]) * (own_area - len(main_data) - min(511, reservoir if index < 20 else 511))
        begins.append(own_area - len(main_data))
        main_data += sound.main_data
        assert len(main_data) <= own_area + area, "the sound fits"
    main_data += bytes([stuffing]) * (len(sounds) * area - len(main_data))
    frames = []
    for index, (sound, begin) in enumerate(zip(sounds, begins, strict=True)):
        header = 0x7FF << 21 | 3 << 19 | 1 << 17 | 1 << 16 | bit_rate_index << 12 | 2 << 10 | 3 << 6
        first, second = min(sound.bits, 4095), max(0, sound.bits - 4095)
        bits = f"{begin:09b}{sound.seed & 0x1FF:09b}{first:012b}{sound.seed:047b}{second:012b}{0:047b}"
        side_info = int(bits, 2).to_bytes(SIDE_INFO_BYTES, "big")
        frames.append(header.to_bytes(4, "big") + side_info + main_data[index * area : (index + 1) * area])
    return b"".join(frames)


def stream(first: int, data: bytes, expected: Expected = EXPECTED) -> EncodedStream:
    encoded = EncodedStream(first, expected)
    encoded.append(data)
    return encoded


def contents(encoded: EncodedStream) -> list[bytes]:
    return [encoded.content(index).main_data for index in range(encoded.first, encoded.end)]


def made_up(count: int, least_bits: int, seed: int) -> list[Sound]:
    chance = Random(seed)
    return [Sound(chance.choice((least_bits, chance.randrange(least_bits, 4000))), seed + at) for at in range(count)]


def sounds(least: int, most: int, *, least_bits: int) -> st.SearchStrategy[list[Sound]]:
    return st.builds(made_up, st.integers(least, most), st.just(least_bits), st.integers(0, 1 << 16))


@given(sounds(1, 30, least_bits=0), st.integers(0, 511), st.integers(1, 5000))
def test_content_is_read_whatever_the_layout_and_however_it_comes(
    wanted: list[Sound], reservoir: int, piece_bytes: int
) -> None:
    laid = lay(wanted, reservoir=reservoir)
    encoded = EncodedStream(7, EXPECTED)
    for position in range(0, len(laid), piece_bytes):
        encoded.append(laid[position : position + piece_bytes])

    assert encoded.is_whole
    assert encoded.end == 7 + len(wanted)
    assert contents(encoded) == [sound.main_data for sound in wanted]


@given(sounds(60, 90, least_bits=1), st.integers(0, 511), st.integers(0, 511), st.integers(0, 20))
def test_a_joined_stream_has_the_content_of_both(
    wanted: list[Sound], first_reservoir: int, second_reservoir: int, start: int
) -> None:
    first = stream(0, lay(wanted, reservoir=first_reservoir))
    second = stream(start, lay(wanted[start:], bit_rate_index=13, reservoir=second_reservoir, stuffing=0xAA))

    index = Join(first, second).find()
    if index is None:
        return  # the reservoirs did not allow it
    joined = bytes(last_frames(first, second, 0, index) + second.slice(index, second.end))

    assert index >= start + AGREEMENT_FRAMES - 1
    assert contents(stream(0, joined)) == [sound.main_data for sound in wanted]


@given(sounds(80, 90, least_bits=1), st.integers(0, AGREEMENT_FRAMES - 1))
def test_nothing_is_joined_before_a_long_enough_agreement(wanted: list[Sound], last_difference: int) -> None:
    other = [*wanted]
    other[last_difference] = Sound(wanted[last_difference].bits, wanted[last_difference].seed ^ 1)
    first, second = stream(0, lay(wanted)), stream(0, lay(other))

    index = Join(first, second).find()

    assert index == last_difference + AGREEMENT_FRAMES


def test_streams_are_joined_only_where_the_reservoirs_are_alike() -> None:
    wanted = [Sound(8 * 500, index) for index in range(100)]
    first = stream(0, lay(wanted, reservoir=511))
    second = stream(0, lay(wanted, reservoir=100))

    index = Join(first, second).find()

    assert index is not None
    assert first.main_data_begin(0) == second.main_data_begin(0) == 0
    assert first.main_data_begin(10) != second.main_data_begin(10)
    begins = [
        (first.main_data_begin(at), second.main_data_begin(at)) for at in range(index - AGREEMENT_FRAMES + 1, index)
    ]
    assert all(begin == second_begin for begin, second_begin in begins)


@pytest.mark.parametrize("written", [0, 40, 200])
def test_what_is_written_already_is_not_changed(written: int) -> None:
    wanted = [Sound(8 * 500, index) for index in range(300)]
    first, second = stream(0, lay(wanted)), stream(0, lay(wanted))

    index = Join(first, second, written=written).find()

    assert index is not None
    assert index >= written
    assert len(last_frames(first, second, written, index)) == sum(first.lengths(written, index))


@pytest.mark.parametrize("written", range(40, 60))
def test_a_join_leaves_room_for_the_main_data_that_reaches_back(written: int) -> None:
    """At 32 kbit/s an MPEG frame has 123 bytes of it, and the reservoir 511."""
    wanted = [Sound(8 * (40 if index < 6 else 123), index) for index in range(120)]
    first = stream(0, lay(wanted, bit_rate_index=1, reservoir=511))
    second = stream(0, lay(wanted, bit_rate_index=1, reservoir=511, stuffing=0xAA))

    index = Join(first, second, written=written).find()

    assert index is not None
    begin = second.main_data_begin(index)
    assert begin > 4 * 123
    assert sum(end - start for start, end in map(first.main_data_area, range(written, index))) >= begin
    assert contents(stream(0, bytes(first.slice(0, written)) + last_frames(first, second, written, index)))


def test_silence_proves_nothing_for_a_long_time() -> None:
    silence = [Sound(0, 0)] * (SILENT_AGREEMENT_FRAMES + 10)
    first, second = stream(0, lay(silence, reservoir=511)), stream(0, lay(silence, reservoir=511))

    assert Join(first, second).find() == SILENT_AGREEMENT_FRAMES - 1


def test_what_agrees_during_the_warm_up_proves_nothing() -> None:
    wanted = [Sound(8 * 500, index) for index in range(100)]
    first, second = stream(0, lay(wanted)), stream(10, lay(wanted[10:]))

    assert Join(first, second, warm_up=50).find() == 10 + 50 + AGREEMENT_FRAMES - 1


@pytest.mark.parametrize("bit", [*range(9, 18), *range(30, 77), *range(89, 136)])
def test_every_bit_that_steers_the_decoder_counts(bit: int) -> None:
    """All of the side information but where the main data begins (bits 0 to 8) and how long it is."""
    laid = bytearray(lay([Sound(800, 5)]))
    before = stream(0, bytes(laid)).content(0)
    laid[4 + bit // 8] ^= 0x80 >> bit % 8

    assert stream(0, bytes(laid)).content(0) != before


def test_a_join_is_found_as_the_streams_grow() -> None:
    wanted = [Sound(1000 + index, index) for index in range(60)]
    laid = lay(wanted)
    first, second = EncodedStream(0, EXPECTED), EncodedStream(0, EXPECTED)
    join = Join(first, second)
    found = []
    for position in range(0, len(laid), 500):
        first.append(laid[position : position + 500])
        found.append(join.find())
        second.append(laid[position : position + 500])

    assert next(index for index in found if index is not None) == AGREEMENT_FRAMES - 1


def test_frames_that_were_written_are_forgotten_and_content_stays_readable() -> None:
    wanted = [Sound(900, index) for index in range(1000)]
    encoded = stream(0, lay(wanted))

    encoded.forget(900)

    assert 0 < encoded.kept <= 900 - RESERVOIR_FRAMES
    assert encoded.content(900).main_data == wanted[900].main_data
    assert sum(encoded.lengths(900, 1000)) == len(encoded.slice(900, 1000))
    encoded.append(lay(wanted[:1]))
    assert encoded.end == 1001


@pytest.mark.parametrize("missing", [0, 1, 575, 576 - 3])
def test_an_mpeg_frame_that_is_cut_off_is_none_yet(missing: int) -> None:
    laid = lay([Sound(900, index) for index in range(5)])

    encoded = stream(0, laid[: len(laid) - missing])

    assert encoded.is_whole is (missing == 0)
    assert encoded.end == (5 if missing == 0 else 4)


def changed(at: int, value: int) -> bytes:
    laid = bytearray(lay([Sound(0, 0)]))
    laid[at] = value
    return bytes(laid)


@pytest.mark.parametrize("bit_rate", [None, 128_000])
def test_the_frames_asked_for_are_taken(bit_rate: int | None) -> None:
    assert stream(0, lay([Sound(0, 0)]), Expected(32_000, 1, bit_rate)).end == 1


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("sample_rates", "least_bit_rate", "slots", "side_info", "farthest"),
    # ISO/IEC 11172-3 and 13818-3: main_data_begin has 9 or 8 bits, the side information 17, 32, 9 or 17 bytes.
    [
        ((48_000, 44_100, 32_000), 32_000, 144, (17, 32), 511),
        ((24_000, 22_050, 16_000, 12_000, 11_025, 8_000), 8_000, 72, (9, 17), 255),
    ],
    ids=["MPEG-1", "MPEG-2"],
)
def test_what_later_frames_reach_back_to_is_kept(
    sample_rates: tuple[int, ...],
    least_bit_rate: int,
    slots: int,
    side_info: tuple[int, int],
    farthest: int,
    channels: int,
) -> None:
    """At the lowest bit rates frames are small, and so many of them lie that far back."""
    for sample_rate in sample_rates:
        area = slots * least_bit_rate // sample_rate - 4 - side_info[channels - 1]

        assert -(-farthest // area) <= RESERVOIR_FRAMES


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"no MPEG frame", EXPECTED, id="noise"),
        pytest.param(lay([Sound(0, 0)]), Expected(48_000, 1, None), id="another-sample-rate"),
        pytest.param(lay([Sound(0, 0)]), Expected(32_000, 2, None), id="other-channels"),
        pytest.param(lay([Sound(0, 0)]), Expected(32_000, 1, 64_000), id="another-bit-rate"),
        pytest.param(changed(1, 0xFA), EXPECTED, id="with-a-checksum"),
        pytest.param(changed(1, 0xFD), EXPECTED, id="layer-2"),
        pytest.param(changed(1, 0xF3), EXPECTED, id="mpeg-2"),
        pytest.param(changed(2, 0x08), EXPECTED, id="free-format"),
    ],
)
def test_anything_else_than_the_frames_asked_for_is_an_error(data: bytes, expected: Expected) -> None:
    with pytest.raises(ParallelEncodingFailed):
        stream(0, data, expected)


def test_main_data_from_before_the_beginning_is_an_error() -> None:
    second_half = lay([Sound(100, index) for index in range(20)], reservoir=511)[10 * 576 :]

    with pytest.raises(ParallelEncodingFailed):
        stream(0, second_half).content(0)
