"""How long lossless and other coded files say that they are, at the edges of their headers."""

from __future__ import annotations

import struct

import pytest

from resample.formats.containers import (
    ASF,
    DSDIFF,
    DSF,
    MATROSKA,
    MONKEYS_AUDIO,
    MUSEPACK_7,
    MUSEPACK_8,
    TRUE_AUDIO,
    WAVPACK,
    Container,
)
from resample.formats.declared import NOTHING, Declared
from tests.audio import dsd
from tests.unit.resample.formats.test_declared_length import ape, asf, assert_tells_the_same_behind_junk, of


class TestWavPack:
    RATES = (6000, 8000, 9600, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000, 192000)

    def block(self, total: int, *, rate: int = 9, upper: int = 0, dsd: bool = False) -> Declared:
        head = b"wvpk" + struct.pack("<IHBB", 1000, 0x410, 0, upper)
        return of(head + struct.pack("<5I", total, 0, 22_050, rate << 23 | dsd << 31, 0), WAVPACK)

    def test_every_rate(self) -> None:
        assert [self.block(1, rate=index).sample_rate for index in range(16)] == [*self.RATES, None]

    @pytest.mark.parametrize(("total", "upper", "count"), [(5, 1, (1 << 32) + 4), (5, 2, (2 << 32) + 3), (0, 0, None)])
    def test_more_than_32_bits(self, total: int, upper: int, count: int | None) -> None:
        assert self.block(total, upper=upper).sample_frames == count

    def test_dsd(self) -> None:
        assert self.block(88_200, dsd=True) == NOTHING


class TestMonkeysAudio:
    def old(
        self, version: int, compression: int = 2000, *, count: int = 3, last: int = 1000, rate: int = 44_100
    ) -> Declared:
        head = struct.pack("<4s4HIIIII", b"MAC ", version, compression, 0, 2, rate, 44, 0, count, last)
        return of(head + bytes(500), MONKEYS_AUDIO)

    @pytest.mark.parametrize(
        ("version", "compression", "blocks"),
        [
            (3979, 2000, 294_912),
            (3950, 2000, 294_912),
            (3949, 2000, 73_728),
            (3900, 2000, 73_728),
            (3899, 2000, 9_216),
            (3899, 4000, 73_728),
            (3899, 3999, 9_216),
            (3800, 4000, 73_728),
            (3799, 4000, 9_216),
        ],
    )
    def test_the_size_of_a_block(self, version: int, compression: int, blocks: int) -> None:
        assert self.old(version, compression).sample_frames == 2 * blocks + 1000

    def test_lengths_that_make_no_sense(self) -> None:
        assert self.old(3970, count=0) == NOTHING
        assert self.old(3799, last=9_217) == NOTHING
        assert self.old(3799, last=9_216).sample_frames == 3 * 9_216
        assert self.old(3970, rate=0).sample_rate is None

    def test_from_version_3980_on_the_missing_bytes_are_told(self) -> None:
        assert of(ape(3980), MONKEYS_AUDIO) == Declared(2 * 73_728 + 1000, 44_100)
        assert of(ape(3980, sound=501), MONKEYS_AUDIO).missing_bytes == 1
        huge = bytearray(ape(3980))
        huge[28:32] = struct.pack("<I", 1)  # the upper half of the size
        assert of(bytes(huge), MONKEYS_AUDIO).missing_bytes == 1 << 32


class TestTrueAudio:
    def file(self, sample_frames: int, rate: int, *sizes: int, present: int) -> Declared:
        head = b"TTA1" + struct.pack("<HHHII4x", 1, 2, 16, rate, sample_frames)
        return of(head + struct.pack(f"<{len(sizes)}I4x", *sizes) + bytes(present), TRUE_AUDIO)

    def test_a_frame_is_256_245ths_of_a_second(self) -> None:
        frame = 48_000 * 256 // 245

        assert self.file(frame, 48_000, 700, present=700).missing_bytes == 0
        assert self.file(frame, 48_000, 700, present=699).missing_bytes == 1
        assert self.file(frame + 1, 48_000, 700, 5, present=704).missing_bytes == 1
        assert self.file(2 * frame, 48_000, 700, 5, present=705).missing_bytes == 0

    def test_lengths_that_make_no_sense(self) -> None:
        assert self.file(0, 48_000, present=9) == Declared(None, 48_000)
        assert self.file(100, 0, *[1] * 100, present=100) == Declared(100, None)
        assert self.file(0xFFFFFFFF, 1, present=9) == Declared(0xFFFFFFFF, 1), "no table is as long as that"


class TestMusepack:
    def seven(self, count: int, *, last: int = 500, rate: int = 0, size: int = 1000) -> Declared:
        tail = struct.pack("<I", 1 << 31 | last << 20)
        return of((b"MP+\x07" + struct.pack("<IIII", count, rate << 16, 0, 0) + tail).ljust(size, b"\0"), MUSEPACK_7)

    def test_every_rate(self) -> None:
        assert [self.seven(9, rate=rate).sample_rate for rate in range(4)] == [44_100, 48_000, 37_800, 32_000]

    @pytest.mark.parametrize(("count", "last", "frames"), [(1, 500, 500), (2, 0, 2304), (1000, 1, 999 * 1152 + 1)])
    def test_the_last_frame(self, count: int, last: int, frames: int) -> None:
        assert self.seven(count, last=last) == Declared(frames, 44_100, 1152)

    @pytest.mark.parametrize("count", [0, 1001])
    def test_counts_that_make_no_sense(self, count: int) -> None:
        assert self.seven(count) == NOTHING

    def eight(
        self, total: bytes, silent: bytes = b"\0", *, rate: int = 0, before: bytes = b"", behind: bytes = b""
    ) -> Declared:
        content = bytes(4) + b"\x08" + total + silent + bytes((rate << 5, 0))
        length = b"SH" + bytes((3 + len(content),)) + content
        return of((b"MPCK" + before + length + behind).ljust(300, b"\0"), MUSEPACK_8)

    def test_version_eight(self) -> None:
        assert self.eight(b"\x7f") == Declared(127, 44_100, 1152)
        assert self.eight(b"\x81\x00", b"\x08") == Declared(120, 44_100, 1152)
        assert self.eight(b"\x81\x80\x01") == Declared(128 * 128 + 1, 44_100, 1152)
        assert self.eight(b"\x05", b"\x06") == Declared(None, 44_100, 1152)
        assert [self.eight(b"\x7f", rate=rate).sample_rate for rate in range(4)] == [44_100, 48_000, 37_800, 32_000]
        assert self.eight(b"\x7f", before=b"RG\x05ab") == Declared(127, 44_100, 1152)

    @pytest.mark.parametrize(("seek", "missing"), [(b"\x7f", 0), (b"\x82\x00", 0), (b"\x83\x00", 16 + 3 * 128 - 300)])
    def test_where_the_last_packet_but_one_begins(self, seek: bytes, missing: int) -> None:
        declared = self.eight(b"\x7f", behind=b"SO" + bytes((3 + len(seek),)) + seek)

        assert declared == Declared(127, 44_100, 1152, missing_bytes=missing)

    def test_numbers_without_an_end(self) -> None:
        assert self.eight(b"\x80" * 60) == NOTHING


def dsdiff(name: bytes, content: bytes, *, rate: int = 2_822_400, channels: int = 2) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack(">Q", len(content)) + content + b"\0" * (len(content) & 1)

    properties = b"SND " + chunk(b"FS  ", struct.pack(">I", rate)) * (rate > 0)
    properties += chunk(b"CHNL", struct.pack(">H", channels) + b"SLFTSRGT") * (channels > 0)
    body = b"DSD " + chunk(b"FVER", bytes(4)) + chunk(b"PROP", properties) + chunk(name, content)
    return b"FRM8" + struct.pack(">Q", len(body)) + body


DST_FRAMES = b"FRTE" + struct.pack(">QIH", 6, 150, 75) + bytes(400)
"""150 frames of DST, 75 of them a second."""


class TestDsd:
    def test_sony(self) -> None:
        whole = dsd.dsf(dsd.dsd_tone(0.02, 2_822_400, 1), 2_822_400)

        for at in (28, 80):
            broken = bytearray(whole)
            broken[at] ^= 1
            assert of(bytes(broken), DSF) == NOTHING

    def philips(self, name: bytes, content: bytes, *, rate: int = 2_822_400, channels: int = 2) -> Declared:
        return of(dsdiff(name, content, rate=rate, channels=channels), DSDIFF)

    def test_philips(self) -> None:
        assert self.philips(b"DSD ", bytes(1000)) == Declared(500, 352_800, 1)
        assert self.philips(b"DSD ", bytes(1000), channels=0) == Declared()
        assert self.philips(b"DSD ", bytes(1000), rate=0) == Declared()
        assert self.philips(b"DSD ", b"") == Declared(None, 352_800, 1)
        assert self.philips(b"COMT", bytes(1000)) == NOTHING

    def test_philips_compressed(self) -> None:
        assert self.philips(b"DST ", DST_FRAMES) == Declared(2 * 352_800, 352_800, 1)
        assert self.philips(b"DST ", b"FRTE" + struct.pack(">QIH", 6, 0, 75)) == Declared(None, 352_800, 1)


CODED = [
    (b"wvpk" + struct.pack("<IHBB5I", 1000, 0x410, 0, 0, 500, 0, 22_050, 9 << 23, 0) + bytes(20), WAVPACK),
    (ape(3970), MONKEYS_AUDIO),
    (ape(3990), MONKEYS_AUDIO),
    (b"TTA1" + struct.pack("<HHHII4xI4x", 1, 2, 16, 48_000, 100, 700) + bytes(700), TRUE_AUDIO),
    (b"MP+\x07" + struct.pack("<5I", 100, 1 << 16, 0, 0, 1 << 31 | 500 << 20) + bytes(100), MUSEPACK_7),
    (b"MPCKSH\x0c\0\0\0\0\x08\x7f\0\0\0SO\x05\x82\x2c" + bytes(300), MUSEPACK_8),
    (dsd.dsf(dsd.dsd_tone(0.02, 2_822_400, 1), 2_822_400), DSF),
    (dsd.dff(dsd.dsd_tone(0.02, 2_822_400, 1), 2_822_400), DSDIFF),
    (dsdiff(b"DST ", DST_FRAMES), DSDIFF),
    (asf(), ASF),
    (b"\x1a\x45\xdf\xa3\x84" + bytes(4) + b"\x18\x53\x80\x67\x88" + bytes(8), MATROSKA),
]
of_every_coding = pytest.mark.parametrize(("content", "container"), CODED, ids=[found.name for _, found in CODED])


@of_every_coding
def test_what_stands_behind_the_sound_is_not_missing(content: bytes, container: Container) -> None:
    assert of(content, container).missing_bytes == 0
    assert of(content + b"TAG" + bytes(125), container) == of(content, container)


@of_every_coding
def test_what_stands_in_front_makes_no_difference(content: bytes, container: Container) -> None:
    assert_tells_the_same_behind_junk(content, container)


class TestWindowsMedia:
    def test_packets_of_several_sizes_tell_nothing(self) -> None:
        content = bytearray(asf(present=2))
        at = content.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 96
        content[at : at + 4] = struct.pack("<I", 101)

        assert of(bytes(content), ASF) == NOTHING

    def test_what_is_missing_is_told_to_the_byte(self) -> None:
        assert of(asf()[:-1], ASF) == Declared(missing_bytes=1)

    def test_objects_that_make_no_sense(self) -> None:
        content = bytearray(asf(present=2))
        content[30 + 16 : 30 + 24] = struct.pack("<Q", 23)

        assert of(bytes(content), ASF) == NOTHING


class TestMatroska:
    EBML = b"\x1a\x45\xdf\xa3\x84" + bytes(4)

    @pytest.mark.parametrize(
        "before", [b"", b"\xec\x85" + bytes(5), b"\xec\x81\0" * 6], ids=["at once", "padded", "late"]
    )
    def test_the_segment_may_come_behind_others(self, before: bytes) -> None:
        segment = b"\x18\x53\x80\x67\x88" + bytes(7)

        assert of(self.EBML + before + segment, MATROSKA) == Declared(missing_bytes=1)

    def test_numbers_of_any_size(self) -> None:
        assert of(self.EBML + b"\x18\x53\x80\x67\x20\x00\x09" + bytes(8), MATROSKA) == Declared(missing_bytes=1)
        assert of(self.EBML + b"\x18\x53\x80\x67\xff" + bytes(8), MATROSKA) == NOTHING
        assert of(self.EBML + b"\x18\x53\x80\x67\x00", MATROSKA) == NOTHING
        assert of(self.EBML, MATROSKA) == NOTHING
