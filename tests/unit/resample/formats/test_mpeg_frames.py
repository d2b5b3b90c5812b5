"""MPEG audio arithmetic against the standard's tables, hand-made bytes, and properties."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resample.formats import mpeg_frames
from resample.formats.mpeg_frames import (
    ChannelMode,
    Crc16,
    MpegFrame,
    MpegVersion,
    VbrMethod,
    crc16,
    free_format_unpadded_bytes,
    iterate_mpeg_frames,
    parse_header,
    parse_info_tag,
    parse_side_info,
    parse_vbri_tag,
)

MPEG1_STEREO_128K_44100 = bytes.fromhex("fffb9064")


def header_bytes(
    version: int = 3, layer: int = 1, bit_rate_index: int = 9, rate_index: int = 2, padding: int = 0, mode: int = 1
) -> bytes:
    """A header from the raw values of its fields; the defaults are MPEG-1 Layer III, 128 kbit/s, 32 kHz."""
    word = 0x7FF << 21 | version << 19 | layer << 17 | 1 << 16 | bit_rate_index << 12
    return (word | rate_index << 10 | padding << 9 | mode << 6).to_bytes(4, "big")


def only_frame(data: bytes) -> MpegFrame:
    (mpeg_frame,) = iterate_mpeg_frames(data)
    return mpeg_frame


def test_a_header_of_lame_is_read() -> None:
    header = parse_header(MPEG1_STEREO_128K_44100)

    assert header is not None
    assert (header.version, header.layer, header.bit_rate, header.sample_rate) == (
        MpegVersion.MPEG1,
        3,
        128_000,
        44_100,
    )
    assert header.channel_mode is ChannelMode.JOINT_STEREO
    assert (header.channels, header.has_crc, header.is_padded) == (2, False, False)
    assert (header.sample_frames, header.length_bytes, header.main_data_offset) == (1152, 417, 36)


@pytest.mark.parametrize(
    ("version", "layer", "kilobits"),
    # ISO/IEC 11172-3, 2.4.2.3, and ISO/IEC 13818-3, 2.4.2.3
    [
        (3, 3, "32 64 96 128 160 192 224 256 288 320 352 384 416 448"),
        (3, 2, "32 48 56 64 80 96 112 128 160 192 224 256 320 384"),
        (3, 1, "32 40 48 56 64 80 96 112 128 160 192 224 256 320"),
        (2, 3, "32 48 56 64 80 96 112 128 144 160 176 192 224 256"),
        (2, 2, "8 16 24 32 40 48 56 64 80 96 112 128 144 160"),
        (0, 1, "8 16 24 32 40 48 56 64 80 96 112 128 144 160"),
    ],
    ids=["MPEG-1, I", "MPEG-1, II", "MPEG-1, III", "MPEG-2, I", "MPEG-2, II", "MPEG-2.5, III"],
)
def test_the_bit_rates_are_those_of_the_standard(version: int, layer: int, kilobits: str) -> None:
    headers = [parse_header(header_bytes(version, layer, index)) for index in range(1, 15)]

    assert [header and header.bit_rate for header in headers] == [1000 * int(rate) for rate in kilobits.split()]


@pytest.mark.parametrize(
    ("version", "rates"), [(3, (44_100, 48_000, 32_000)), (2, (22_050, 24_000, 16_000)), (0, (11_025, 12_000, 8_000))]
)
def test_the_sample_rates_are_those_of_the_standard(version: int, rates: tuple[int, ...]) -> None:
    headers = [parse_header(header_bytes(version, rate_index=index)) for index in range(3)]

    assert tuple(header and header.sample_rate for header in headers) == rates


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_checksum_stands_behind_the_header_where_it_says_so(layer: int) -> None:
    without = header_bytes(layer=layer)
    with_crc = bytes((without[0], without[1] & 0xFE, *without[2:]))

    headers = parse_header(without), parse_header(with_crc)

    assert [header and (header.has_crc, header.side_info_offset) for header in headers] == [(False, 4), (True, 6)]


@pytest.mark.parametrize(
    ("mode", "name", "channels"),
    [(0, "STEREO", 2), (1, "JOINT_STEREO", 2), (2, "DUAL_CHANNEL", 2), (3, "MONO", 1)],
)
def test_the_channel_modes_are_those_of_the_standard(mode: int, name: str, channels: int) -> None:
    header = parse_header(header_bytes(mode=mode))

    assert header is not None
    assert (header.channel_mode.name, header.channels) == (name, channels)


@pytest.mark.parametrize(
    ("fields", "sample_rate", "bit_rate", "length_bytes", "sample_frames", "side_info_bytes"),
    [
        pytest.param({}, 32_000, 128_000, 576, 1152, 32, id="mpeg-1-layer-3"),
        pytest.param({"padding": 1}, 32_000, 128_000, 577, 1152, 32, id="padded"),
        pytest.param({"mode": 3}, 32_000, 128_000, 576, 1152, 17, id="mono"),
        pytest.param({"version": 2, "rate_index": 1, "bit_rate_index": 8}, 24_000, 64_000, 192, 576, 17, id="mpeg-2"),
        pytest.param({"version": 0, "bit_rate_index": 8, "mode": 3}, 8_000, 64_000, 576, 576, 9, id="mpeg-2.5"),
        pytest.param({"layer": 2}, 32_000, 160_000, 720, 1152, 32, id="layer-2"),
        pytest.param({"layer": 2, "version": 2}, 16_000, 80_000, 720, 1152, 17, id="layer-2-mpeg-2"),
        pytest.param({"layer": 3, "padding": 1}, 32_000, 288_000, 436, 384, 32, id="layer-1-pads-by-four"),
    ],
)
def test_lengths_follow_the_standard(
    fields: dict[str, int],
    sample_rate: int,
    bit_rate: int,
    length_bytes: int,
    sample_frames: int,
    side_info_bytes: int,
) -> None:
    header = parse_header(header_bytes(**fields))

    assert header is not None
    assert (header.sample_rate, header.bit_rate, header.length_bytes) == (sample_rate, bit_rate, length_bytes)
    assert (header.sample_frames, header.side_info_bytes) == (sample_frames, side_info_bytes)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(MPEG1_STEREO_128K_44100[:3], id="three-bytes"),
        pytest.param(b"RIFF", id="no-sync"),
        pytest.param(header_bytes(version=1), id="reserved-version"),
        pytest.param(header_bytes(layer=0), id="reserved-layer-as-in-adts"),
        pytest.param(header_bytes(bit_rate_index=15), id="forbidden-bit-rate"),
        pytest.param(header_bytes(rate_index=3), id="reserved-sample-rate"),
        pytest.param(b"\xff\xff\xff\xff", id="all-ones"),
        pytest.param(header_bytes()[:3] + b"\x02", id="reserved-emphasis"),
    ],
)
def test_what_is_no_header_gives_none(data: bytes) -> None:
    assert parse_header(data) is None


@given(st.binary(max_size=64), st.integers(0, 64))
def test_any_bytes_are_read_without_an_error(data: bytes, offset: int) -> None:
    parse_header(data, offset)
    for mpeg_frame in iterate_mpeg_frames(data, offset):
        assert parse_info_tag(data, mpeg_frame) is None or mpeg_frame.header.layer == 3


def test_a_stream_of_padded_and_unpadded_frames_is_walked_up_to_its_tag() -> None:
    frames = [header_bytes(padding=padding).ljust(576 + padding, b"\0") for padding in (0, 1, 1, 0)]
    data = b"skipped" + b"".join(frames) + b"TAG".ljust(128, b" ")

    found = list(iterate_mpeg_frames(data, 7))

    assert [mpeg_frame.length_bytes for mpeg_frame in found] == [576, 577, 577, 576]
    assert data[found[-1].end :].startswith(b"TAG")


def test_a_frame_cut_short_ends_the_walk_before_it() -> None:
    whole = header_bytes().ljust(576, b"\0")

    assert [mpeg_frame.offset for mpeg_frame in iterate_mpeg_frames(whole + whole[:-1])] == [0]


def test_free_format_lengths_come_from_the_distance_of_headers() -> None:
    frames = [header_bytes(bit_rate_index=0, padding=padding).ljust(1000 + padding, b"\0") for padding in (1, 0, 1)]
    data = b"".join(frames)

    assert free_format_unpadded_bytes(data, 0) == 1000
    assert [mpeg_frame.length_bytes for mpeg_frame in iterate_mpeg_frames(data)] == [1001, 1000, 1001]


def test_one_free_format_header_alone_is_not_believed() -> None:
    data = header_bytes(bit_rate_index=0) + bytes(3000)

    assert free_format_unpadded_bytes(data, 0) is None
    assert list(iterate_mpeg_frames(data)) == []


@pytest.mark.parametrize(
    ("third", "is_believed"),
    [
        (b"", True),
        (header_bytes(bit_rate_index=0), True),
        (b"junk", False),
        (header_bytes(), False),
        (header_bytes(bit_rate_index=0, rate_index=1), False),
        (header_bytes(bit_rate_index=0, mode=3), False),
    ],
    ids=["the end", "another", "none", "a bit rate", "another sample rate", "other channels"],
)
def test_two_free_format_headers_are_believed_with_a_third_or_the_end_behind(third: bytes, is_believed: bool) -> None:
    data = header_bytes(bit_rate_index=0).ljust(1000, b"\0") * 2 + third

    assert free_format_unpadded_bytes(data, 0) == (1000 if is_believed else None)


@pytest.mark.parametrize(
    ("fields", "widths", "count"),
    [
        pytest.param({"mode": 1}, (9, 3, 8, 59), 4, id="mpeg-1-stereo"),
        pytest.param({"mode": 3}, (9, 5, 4, 59), 2, id="mpeg-1-mono"),
        pytest.param({"version": 2, "mode": 1}, (8, 2, 0, 63), 2, id="mpeg-2-stereo"),
        pytest.param({"version": 2, "mode": 3}, (8, 1, 0, 63), 1, id="mpeg-2-mono"),
    ],
)
@given(data=st.data())
def test_side_info_gives_the_place_and_the_lengths_of_main_data(
    fields: dict[str, int], widths: tuple[int, int, int, int], count: int, data: st.DataObject
) -> None:
    begin_bits, private_bits, scfsi_bits, granule_bits = widths
    begin = data.draw(st.integers(0, 2**begin_bits - 1))
    lengths = data.draw(st.lists(st.integers(0, 4095), min_size=count, max_size=count))
    rest = "1" * (granule_bits - 12)
    bits = f"{begin:0{begin_bits}b}" + "1" * (private_bits + scfsi_bits)
    bits += "".join(f"{length:012b}{rest}" for length in lengths)
    side_info = int(bits, 2).to_bytes(len(bits) // 8, "big")
    content = (header_bytes(**fields) + side_info).ljust(1000, b"\0")
    mpeg_frame = next(iterate_mpeg_frames(content))

    found = parse_side_info(content, mpeg_frame)

    assert mpeg_frame.header.side_info_bytes == len(side_info)
    assert (found.main_data_begin, found.part2_3_lengths) == (begin, tuple(lengths))
    assert found.main_data_bytes == -(-sum(lengths) // 8)


def test_side_info_of_layer_two_is_refused() -> None:
    data = header_bytes(layer=2) + bytes(716)

    with pytest.raises(ValueError, match="Layer III"):
        parse_side_info(data, only_frame(data))


def info_frame(
    letters: bytes = b"Info",
    *,
    flags: int = 15,
    offset: int = 36,
    delay: int = 576,
    padding: int = 1000,
    method: int = 4,
) -> bytes:
    """A frame as LAME writes it at 128 kbit/s, 32 kHz, stereo: 10 MPEG frames in 5760 bytes."""
    tag = letters + struct.pack(">I", flags)
    for bit, field in enumerate(
        (struct.pack(">I", 10), struct.pack(">I", 5760), bytes(range(100)), struct.pack(">I", 57))
    ):
        tag += field if flags >> bit & 1 else b""
    lame = b"LAME3.100" + bytes([0x20 | method]) + bytes(11) + (delay << 12 | padding).to_bytes(3, "big") + bytes(4)
    lame += struct.pack(">IH", 5760, 0xBEEF)
    before = header_bytes().ljust(offset, b"\0") + tag + lame
    return (before + struct.pack(">H", crc16(before))).ljust(576, b"\0")


def test_the_lame_tag_tells_the_exact_length() -> None:
    data = info_frame()
    mpeg_frame = only_frame(data)

    tag = parse_info_tag(data, mpeg_frame)

    assert tag is not None
    assert tag.lame is not None
    assert (tag.is_variable, tag.mpeg_frames, tag.size_bytes, tag.quality) == (False, 10, 5760, 57)
    assert tag.toc == bytes(range(100))
    assert (tag.lame.encoder, tag.lame.vbr_method) == ("LAME3.100", VbrMethod.VARIABLE_MTRH)
    assert (tag.lame.delay, tag.lame.padding) == (576, 1000)
    assert (tag.lame.music_bytes, tag.lame.music_crc, tag.lame.tag_crc_is_valid) == (5760, 0xBEEF, True)
    assert tag.sample_frames(mpeg_frame.header) == 10 * 1152 - 576 - 1000


@pytest.mark.parametrize(
    ("method", "name"),
    # Mp3 Info Tag revision 1, "VBR method"
    [
        *((0, "UNKNOWN"), (1, "CONSTANT"), (2, "AVERAGE"), (3, "VARIABLE_OLD"), (4, "VARIABLE_MTRH")),
        *((5, "VARIABLE_MT"), (8, "CONSTANT_TWO_PASS"), (9, "AVERAGE_TWO_PASS"), (15, "UNKNOWN")),
    ],
)
def test_the_lame_tag_tells_how_bit_rates_were_chosen(method: int, name: str) -> None:
    data = info_frame(method=method)

    tag = parse_info_tag(data, only_frame(data))

    assert tag is not None
    assert tag.lame is not None
    assert tag.lame.vbr_method.name == name


def test_a_changed_byte_makes_the_tag_crc_invalid() -> None:
    data = bytearray(info_frame())
    data[60] ^= 1

    tag = parse_info_tag(data, only_frame(bytes(data)))

    assert tag is not None
    assert tag.lame is not None
    assert not tag.lame.tag_crc_is_valid


def test_a_xing_header_without_fields_or_lame_tag_tells_no_length() -> None:
    data = (header_bytes().ljust(36, b"\0") + b"Xing" + bytes(4)).ljust(576, b"\0")
    mpeg_frame = only_frame(data)

    tag = parse_info_tag(data, mpeg_frame)

    assert tag is not None
    assert (tag.is_variable, tag.mpeg_frames, tag.size_bytes, tag.toc, tag.lame) == (True, None, None, None, None)
    assert tag.sample_frames(mpeg_frame.header) is None


@pytest.mark.parametrize("flags", range(16))
def test_the_lame_tag_is_found_behind_any_set_of_fields(flags: int) -> None:
    data = info_frame(flags=flags)

    tag = parse_info_tag(data, only_frame(data))

    assert tag is not None
    assert tag.lame is not None
    assert tag.lame.padding == 1000


def test_audio_is_no_tag() -> None:
    data = header_bytes().ljust(576, b"\x55")

    assert parse_info_tag(data, only_frame(data)) is None
    assert parse_vbri_tag(data, only_frame(data)) is None


def test_vbri_is_recognised() -> None:
    vbri = b"VBRI" + struct.pack(">HHHII", 1, 576, 75, 123_456, 789)
    data = (header_bytes().ljust(36, b"\0") + vbri).ljust(576, b"\0")

    tag = parse_vbri_tag(data, only_frame(data))

    assert tag is not None
    assert (tag.mpeg_frames, tag.size_bytes) == (789, 123_456)


VBRI = b"VBRI" + struct.pack(">HHHII", 1, 576, 75, 123_456, 789)


@pytest.mark.parametrize(
    ("header", "tag", "size"),
    [
        (header_bytes(layer=2), VBRI, 720),
        (header_bytes(layer=3), VBRI, 432),
        (header_bytes(), b"VBRX" + VBRI[4:], 576),
        (header_bytes(version=2, bit_rate_index=1, rate_index=1), VBRI, 24),
    ],
    ids=["layer II", "layer I", "other letters", "a frame that ends before"],
)
def test_what_is_no_vbri_tag(header: bytes, tag: bytes, size: int) -> None:
    data = (header.ljust(36, b"\0") + tag).ljust(800, b"\0")
    mpeg_frame = next(iterate_mpeg_frames(data))

    assert mpeg_frame.length_bytes == size
    assert parse_vbri_tag(data, mpeg_frame) is None


@pytest.mark.parametrize("size", range(36, 54))
def test_a_vbri_tag_is_whole_or_none(size: int) -> None:
    data = (header_bytes().ljust(36, b"\0") + VBRI)[:size]
    header = parse_header(data)
    assert header is not None

    assert parse_vbri_tag(data, MpegFrame(0, 576, header)) is None
    assert parse_vbri_tag(data.ljust(576, b"\0"), MpegFrame(0, size, header)) is None


def crc16_bit_by_bit(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def test_the_crc_has_the_published_check_value() -> None:
    assert crc16(b"123456789") == 0xBB3D


@pytest.mark.parametrize("size", [0, 1, 32_766, 32_767, 32_768, 65_534, 100_000])
def test_the_crc_by_blocks_is_the_crc_bit_by_bit(size: int) -> None:
    data = bytes((index * index + index // 7) & 0xFF for index in range(size))

    assert crc16(data) == crc16_bit_by_bit(data)


@pytest.mark.parametrize(("size", "steps"), [(0, 0), (190, 190), (32_767, 32_767), (100_000, 32_767)])
def test_the_crc_takes_a_step_a_byte_and_no_more_than_a_block_has(
    size: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counted(tuple[int, ...]):
        looked_up = 0

        def __getitem__(self, index: Any) -> Any:
            Counted.looked_up += 1
            return super().__getitem__(index)

    monkeypatch.setattr(mpeg_frames, "_CRC16_TABLE", Counted(mpeg_frames._CRC16_TABLE))

    crc16(bytes(size))

    assert Counted.looked_up == steps


@given(st.lists(st.integers(0, 40_000), max_size=6))
def test_the_crc_does_not_depend_on_how_the_stream_is_cut(sizes: list[int]) -> None:
    data = bytes((index * 31 + index // 251) & 0xFF for index in range(sum(sizes)))
    crc = Crc16()
    position = 0
    for size in sizes:
        crc.update(memoryview(data)[position : position + size])
        position += size

    assert crc.value == crc16(data)
