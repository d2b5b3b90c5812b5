"""Lengths that headers of AIFF, AU, CAF, FLAC, MP3 and MP4 files promise, at their edges."""

from __future__ import annotations

import struct

import pytest

from audiojobs.errors import NoAudio, UnsupportedFormat
from resample.formats.containers import AIFF, AU, CAF, FLAC, MP3, MP4
from resample.formats.declared import NOTHING, Declared
from resample.formats.pcm_samples import PcmSamples
from tests.unit.resample.formats.test_declared_length import _flac, of
from tests.unit.resample.formats.test_passthrough import info_frame, mpeg_frame


class TestAiff:
    def file(
        self,
        count: int = 100,
        *,
        bits: int = 16,
        compression: bytes = b"",
        rate: tuple[int, int] = (16_383 + 15, 44_100 << 48),
        size: int | None = None,
        data: int = 400,
    ) -> Declared:
        comm = struct.pack(">HIHHQ", 2, count, bits, *rate) + (compression + b"\0\0" if compression else b"")
        body = b"COMM" + struct.pack(">I", len(comm)) + comm
        body += b"SSND" + struct.pack(">III", 8 + data if size is None else size, 0, 0) + bytes(data)
        return of(b"FORM" + struct.pack(">I", 4 + len(body)) + (b"AIFC" if compression else b"AIFF") + body, AIFF)

    @pytest.mark.parametrize(
        ("exponent", "mantissa", "rate"),
        [
            (16_383 + 15, 48_000 << 48, 48_000),
            (16_383 + 12, 8_000 << 51, 8_000),
            (0x8000 | 16_383 + 15, 48_000 << 48, 48_000),
            (16_383 + 17, 192_000 << 46, 192_000),
            (16_383 + 63, 1 << 63, 1 << 63),
            (16_383 + 64, 1 << 63, None),
            (16_383, 1 << 63, 1),
            (16_382, 1 << 63, None),
        ],
    )
    def test_its_rate_is_a_number_of_80_bits(self, exponent: int, mantissa: int, rate: int | None) -> None:
        assert self.file(rate=(exponent, mantissa)).sample_rate == rate

    @pytest.mark.parametrize(
        "compression",
        [b"NONE", b"twos", b"sowt", b"raw ", b"fl32", b"FL64", b"in24", b"in32", b"alaw", b"ulaw", b"ALAW", b"ULAW"],
    )
    def test_pcm_of_every_kind_tells_its_length(self, compression: bytes) -> None:
        assert self.file(compression=compression).sample_frames == 100

    @pytest.mark.parametrize("compression", [b"ima4", b"MAC3", b"fl16"])
    def test_others_do_not(self, compression: bytes) -> None:
        assert self.file(compression=compression) == Declared(None, 44_100)

    @pytest.mark.parametrize(
        ("compression", "bits", "is_read"),
        [
            (b"sowt", 16, True),
            (b"sowt", 9, True),
            (b"sowt", 8, False),
            (b"sowt", 17, False),
            (b"twos", 24, True),
            (b"42ni", 32, False),
            (b"23ni", 32, False),
        ],
    )
    def test_little_endian_samples_of_16_bits_alone_are_read(
        self, compression: bytes, bits: int, is_read: bool
    ) -> None:
        if is_read:
            assert self.file(compression=compression, bits=bits).sample_frames == 100
        else:
            with pytest.raises(UnsupportedFormat, match=f"little-endian and have {bits} bits"):
                self.file(compression=compression, bits=bits)

    def test_lengths_of_a_writer_that_could_not_seek_back(self) -> None:
        assert self.file(0xFFFFFFFF).sample_frames is None
        assert self.file(0).sample_frames is None
        assert self.file(0, data=1).sample_frames is None
        assert self.file(0, data=0).sample_frames == 0
        assert self.file(size=0xFFFFFFFF) == Declared(100, 44_100)
        assert self.file(size=409).missing_bytes == 1

    def test_without_sound_it_needs_no_sound_chunk(self) -> None:
        comm = struct.pack(">HIHHQ", 2, 0, 16, 16_383 + 15, 44_100 << 48)

        assert of(b"FORM\0\0\0\x1eAIFFCOMM\0\0\0\x12" + comm, AIFF) == Declared(0, 44_100)


class TestAu:
    def file(
        self, encoding: int = 3, *, size: int = 400, rate: int = 44_100, channels: int = 2, present: int = 400
    ) -> Declared:
        return of(b".snd" + struct.pack(">5I", 24, size, encoding, rate, channels) + bytes(present), AU)

    def test_the_width_of_every_encoding(self) -> None:
        found = {encoding: self.file(encoding).sample_frames for encoding in range(30)}

        assert {encoding: 200 // frames for encoding, frames in found.items() if frames} == {
            **dict.fromkeys((1, 2, 27), 1),
            **dict.fromkeys((5, 6), 4),
            3: 2,
            4: 3,
            7: 8,
        }

    def test_what_makes_no_sense(self) -> None:
        assert self.file(channels=0) == NOTHING
        assert self.file(rate=0).sample_rate is None
        assert self.file(present=399).missing_bytes == 1


class TestCaf:
    def file(
        self,
        *chunks: tuple[bytes, bytes],
        flags: int = 2,
        packet_bytes: int = 4,
        packet_frames: int = 1,
        channels: int = 2,
        bits: int = 16,
        name: bytes = b"lpcm",
        size: int | None = None,
    ) -> Declared:
        description = struct.pack(">d4s5I", 44_100.0, name, flags, packet_bytes, packet_frames, channels, bits)
        content = b"caff\0\1\0\0"
        for kind, body in ((b"desc", description), *chunks, (b"data", bytes(404))):
            declared = size if kind == b"data" and size is not None else len(body)
            content += kind + struct.pack(">q", declared) + body
        return of(content, CAF)

    def test_its_samples(self) -> None:
        declared = self.file()

        assert declared == Declared(100, 44_100, 1)
        assert declared.samples == PcmSamples(8 + 44 + 16, 400, 2, 2, 16, is_float=False, is_big_endian=False)

    @pytest.mark.parametrize("rate", [float("inf"), float("nan")])
    def test_a_rate_that_is_no_number(self, rate: float) -> None:
        description = struct.pack(">d4s5I", rate, b"lpcm", 2, 4, 1, 2, 16)

        assert of(b"caff\0\1\0\0desc" + struct.pack(">q", 32) + description, CAF) == NOTHING

    @pytest.mark.parametrize("size", [404, 304, 5])
    def test_its_samples_end_where_the_chunk_does(self, size: int) -> None:
        samples = self.file(size=size).samples

        assert samples
        assert samples.size_bytes == size - 4

    def test_to_the_end_of_the_file(self) -> None:
        declared = self.file(size=-1)

        assert declared == Declared(None, 44_100, 1)
        assert declared.samples
        assert declared.samples.size_bytes == 400

    @pytest.mark.parametrize(
        ("changes", "is_float", "is_big_endian"),
        [
            ({"flags": 0}, False, True),
            ({"flags": 3, "bits": 32, "packet_bytes": 8}, True, False),
            ({"flags": 1, "bits": 32, "packet_bytes": 8}, True, True),
        ],
    )
    def test_floats_and_the_order_of_bytes(self, changes: dict[str, int], is_float: bool, is_big_endian: bool) -> None:
        samples = self.file(**changes).samples  # type: ignore[arg-type]

        assert samples
        assert (samples.is_float, samples.is_big_endian) == (is_float, is_big_endian)

    @pytest.mark.parametrize(
        "changes",
        [
            {"name": b"aac "},
            {"packet_bytes": 5},
            {"packet_frames": 2},
            {"packet_bytes": 10, "bits": 40},
            {"bits": 0},
            {"bits": 17},
            {"channels": 0, "packet_bytes": 0},
        ],
        ids=str,
    )
    def test_what_is_no_pcm(self, changes: dict[str, object]) -> None:
        assert self.file(**changes).samples is None  # type: ignore[arg-type]

    @pytest.mark.parametrize(("bits", "packet_bytes"), [(16, 4), (8, 2), (24, 6), (24, 8), (32, 8), (64, 16), (1, 2)])
    def test_widths_that_are_read(self, bits: int, packet_bytes: int) -> None:
        samples = self.file(bits=bits, packet_bytes=packet_bytes).samples

        assert samples
        assert (samples.bits, samples.width) == (bits, packet_bytes // 2)

    def test_packets_of_their_own_sizes_are_counted_in_a_table(self) -> None:
        table = b"pakt", struct.pack(">qqii", 10, 9_000, 100, 140)

        assert self.file(table, name=b"aac ", packet_bytes=0, packet_frames=1024) == Declared(9_000, 44_100, 1024)
        empty = b"pakt", struct.pack(">qqii", 10, 0, 0, 0)
        assert self.file(empty, name=b"aac ", packet_bytes=0, packet_frames=1024).sample_frames is None

    def test_no_other_chunk_reaches_to_the_end(self) -> None:
        """Nothing is known of what stands behind one that says so, whatever it looks like."""
        endless = b"free" + struct.pack(">q", -1) + b"xyz" + bytes(8)
        description = struct.pack(">d4s5I", 44_100.0, b"lpcm", 2, 4, 1, 2, 16)
        content = b"caff\0\1\0\0desc" + struct.pack(">q", 32) + description + endless

        assert of(content + b"data" + struct.pack(">q", 404) + bytes(404), CAF) == Declared(None, 44_100, 1)

    def test_what_is_missing(self) -> None:
        assert self.file(size=405).missing_bytes == 1
        assert self.file((b"free", bytes(33)), size=404) == Declared(100, 44_100, 1)


class TestFlac:
    def test_the_first_block_is_the_one_that_tells(self) -> None:
        other = bytearray(_flac(1000))
        other[4] = 0x84

        assert of(bytes(other), FLAC) == NOTHING
        assert of(_flac(1000)[:26], FLAC) == Declared(1000, 96_000)
        assert of(_flac(1000)[:25], FLAC) == NOTHING
        assert of(_flac(1000, sample_rate=0), FLAC) == Declared(1000, None)
        assert of(_flac((1 << 36) - 1, sample_rate=(1 << 20) - 1), FLAC) == Declared((1 << 36) - 1, (1 << 20) - 1)


class TestMp3:
    def test_a_single_frame_is_no_sound(self) -> None:
        with pytest.raises(NoAudio, match="a single MPEG frame"):
            of(mpeg_frame(), MP3)
        with pytest.raises(NoAudio):
            of(mpeg_frame() + b"TAG" + bytes(125), MP3)
        assert of(mpeg_frame() * 2, MP3) == NOTHING
        assert of(mpeg_frame() + bytes(100), MP3) == NOTHING

    def test_counts_that_make_no_sense(self) -> None:
        assert of(info_frame(0, 0) + mpeg_frame() * 10, MP3) == NOTHING
        assert of(info_frame(1, 0) + mpeg_frame() * 10, MP3) == NOTHING, "less than delay and padding"
        size = len(info_frame(1, 0) + mpeg_frame() * 10)
        assert of(info_frame(size, 0) + mpeg_frame() * 10, MP3).sample_frames == (size - 1) * 1152
        assert of(info_frame(size + 1, 0) + mpeg_frame() * 10, MP3) == NOTHING


class TestMp4:
    FTYP = struct.pack(">I", 16) + b"ftyp" + bytes(8)

    def box(self, name: bytes, size: int, present: int) -> bytes:
        return struct.pack(">I", size) + name + bytes(present)

    @pytest.mark.parametrize("name", [b"mdat", b"moov", b"moof"])
    def test_what_is_needed_and_missing(self, name: bytes) -> None:
        whole = self.FTYP + self.box(b"mdat", 108, 100)

        assert of(whole + self.box(name, 100, 91), MP4) == Declared(missing_bytes=1)
        assert of(whole + self.box(name, 100, 92), MP4) == NOTHING

    @pytest.mark.parametrize("kept", range(8))
    def test_a_header_that_is_cut_off_tells_nothing(self, kept: int) -> None:
        assert of(self.FTYP + self.box(b"mdat", 100, 0)[:kept], MP4) == NOTHING

    def test_what_is_not_needed(self) -> None:
        whole = self.FTYP + self.box(b"mdat", 108, 100)

        assert of(whole + self.box(b"free", 100, 10), MP4) == NOTHING
        assert of(whole + self.box(b"free", 7, 10) + self.box(b"moov", 100, 1), MP4) == NOTHING
        assert of(whole + self.box(b"free", 8, 0) + self.box(b"moov", 100, 1), MP4) == Declared(missing_bytes=91)
        assert of(whole + b"\0\0\0\x64moo", MP4) == NOTHING, "a header that is cut off is none"
