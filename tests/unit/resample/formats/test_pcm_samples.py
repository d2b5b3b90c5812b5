"""How PCM samples are stored, and whether they are samples at all. Only the samples tell."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from resample.formats.pcm_samples import PcmSamples, coded_sound, first_sound, is_plain, right_justified_gain
from resample.formats.reader import Reader

PLAIN = PcmSamples(44, 0, channels=2, width=2, bits=16, is_float=False, is_big_endian=False)
HEADER = bytes(44)


def stored(data: bytes, samples: PcmSamples = PLAIN) -> tuple[Reader, PcmSamples]:
    """A file with these samples behind a header."""
    content = HEADER + data
    return lambda offset, length: content[offset : offset + length], replace(samples, size_bytes=len(data))


def noise(count: int, bits: int, width: int, *, shift: int = 0, order: str = "little", seed: int = 1) -> bytes:
    chance = Random(seed)
    half = 1 << bits - 1
    values = (chance.randrange(-half, half) << shift for _ in range(count))
    return b"".join(value.to_bytes(width, order, signed=True) for value in values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("width", "bits", "is_float", "is_big_endian", "decoder"),
    [
        (2, 16, False, False, None),
        (3, 20, False, False, None),
        (2, 9, False, False, None),
        (2, 8, False, False, "pcm_s16le"),
        (2, 24, False, False, "pcm_s16le"),
        (4, 24, False, False, "pcm_s32le"),
        (4, 24, False, True, "pcm_s32be"),
        (1, 0, False, False, "pcm_u8"),
        (8, 32, True, False, "pcm_f64le"),
    ],
)
def test_the_decoder_of_samples_with_unused_bytes(
    width: int, bits: int, is_float: bool, is_big_endian: bool, decoder: str | None
) -> None:
    samples = PcmSamples(0, 0, 1, width, bits, is_float, is_big_endian)

    assert samples.decoder == decoder
    assert samples.unused_bits == max(0, 8 * width - bits)


class TestBitsAtTheLowerEnd:
    IN_FOUR_BYTES = PcmSamples(44, 0, channels=2, width=4, bits=24, is_float=False, is_big_endian=False)

    @pytest.mark.parametrize("order", ["little", "big"])
    def test_are_found(self, order: str) -> None:
        samples = replace(self.IN_FOUR_BYTES, is_big_endian=order == "big")

        assert right_justified_gain(*stored(noise(4000, 24, 4, order=order), samples)) == 256

    def test_are_not_those_at_the_upper_end(self) -> None:
        assert right_justified_gain(*stored(noise(4000, 24, 4, shift=8), self.IN_FOUR_BYTES)) == 1

    @pytest.mark.parametrize("value", [1 << 23, -(1 << 23) - 1])
    def test_are_not_those_of_which_the_last_is_larger(self, value: int) -> None:
        last = noise(8000, 24, 4) + value.to_bytes(4, "little", signed=True)

        assert right_justified_gain(*stored(last, self.IN_FOUR_BYTES)) == 1

    @pytest.mark.parametrize("value", [(1 << 23) - 1, -(1 << 23)])
    def test_may_all_be_in_use(self, value: int) -> None:
        loud = value.to_bytes(4, "little", signed=True) + (1).to_bytes(4, "little")

        assert right_justified_gain(*stored(loud * 1000, self.IN_FOUR_BYTES)) == 256

    def test_are_not_those_of_a_quiet_sound_at_the_upper_end(self) -> None:
        """Nothing below the eight lowest bits: that is 24 bits in the upper three bytes."""
        assert right_justified_gain(*stored(noise(4000, 10, 4, shift=8), self.IN_FOUR_BYTES)) == 1

    def test_are_not_looked_for_where_all_are_used(self) -> None:
        assert right_justified_gain(*stored(noise(4000, 16, 2))) == 1
        for eight_bits in (bytes(range(256)), bytes(range(16))):
            assert right_justified_gain(*stored(eight_bits * 9, replace(PLAIN, width=1, bits=5))) == 1
        assert right_justified_gain(*stored(noise(400, 24, 4), replace(self.IN_FOUR_BYTES, is_float=True))) == 1

    def test_of_silence_are_anywhere(self) -> None:
        assert right_justified_gain(*stored(bytes(4000), self.IN_FOUR_BYTES)) == 1

    def test_are_looked_for_in_a_part_of_a_long_file(self) -> None:
        content = HEADER + noise(1_500_000, 24, 4)
        samples = replace(self.IN_FOUR_BYTES, size_bytes=len(content) - 44)
        read: list[int] = []

        def reader(offset: int, length: int) -> bytes:
            read.append(length)
            return content[offset : offset + length]

        assert right_justified_gain(reader, samples) == 256
        assert sum(read) < 2_000_000


class TestFirstSound:
    @pytest.mark.parametrize(("zeros", "at"), [(0, 0), (1, 0), (3, 0), (4, 4), (4001, 4000), (3_000_002, 3_000_000)])
    def test_is_the_first_whole_sample_frame_that_is_not_silent(self, zeros: int, at: int) -> None:
        assert first_sound(*stored(bytes(zeros) + b"\x01" + bytes(99))) == 44 + at

    def test_is_not_there(self) -> None:
        assert first_sound(*stored(bytes(5000))) is None
        assert first_sound(*stored(b"")) is None
        read, samples = stored(bytes(100))
        assert first_sound(read, replace(samples, size_bytes=10_000_000)) is None, "the file ends before"


@pytest.mark.parametrize(
    ("zeros", "sound", "samples", "expected"),
    [
        (0, 8192, PLAIN, True),
        (0, 8190, PLAIN, False),
        (400, 8192, PLAIN, True),
        (9000, 0, PLAIN, False),
        (0, 9000, replace(PLAIN, width=4, bits=24), False),
        (0, 9000, replace(PLAIN, width=1, bits=5), True),
    ],
    ids=["enough", "too little", "behind silence", "silence", "unused bits", "unused bits of one byte"],
)
def test_what_the_beginning_tells(zeros: int, sound: int, samples: PcmSamples, expected: bool) -> None:
    assert is_plain(*stored(bytes(zeros) + b"\x01" * sound, samples)) is expected


def burst(data_type: int, payload: int = 2000, *, order: str = "little") -> bytes:
    """IEC 61937-1: four words in front of what is coded, then zeros."""
    words = [0xF872, 0x4E1F, data_type, 8 * payload]
    return b"".join(word.to_bytes(2, order) for word in words) + b"\x5a" * payload + bytes(4144 - payload)  # type: ignore[arg-type]


def dts_frame(size: int = 2012) -> bytes:
    swapped = bytes.fromhex("7ffe8001fc3c") + b"\x5a" * (size - 6)
    return bytes(byte for at in range(0, size, 2) for byte in (swapped[at + 1], swapped[at]))


class TestCodedSound:
    @pytest.mark.parametrize(
        ("data_types", "name"),
        # IEC 61937-2, table 2
        [
            *(((1,), "AC-3"), ((4, 5, 6, 8, 9, 10), "MPEG audio"), ((7, 19, 20), "AAC"), ((11, 12, 13), "DTS")),
            *(((14, 15, 16), "ATRAC"), ((17,), "DTS-HD"), ((18,), "WMA"), ((21,), "E-AC-3"), ((22,), "Dolby TrueHD")),
        ],
    )
    def test_in_bursts(self, data_types: tuple[int, ...], name: str) -> None:
        for data_type in data_types:
            assert coded_sound(*stored(burst(data_type) * 3)) == f"{name} in S/PDIF frames"
            assert coded_sound(*stored(bytes(800) + burst(data_type | 0x20) * 3)) == f"{name} in S/PDIF frames"

    def test_big_endian_and_wide(self) -> None:
        big = replace(PLAIN, is_big_endian=True)
        assert coded_sound(*stored(burst(1, order="big") * 3, big)) == "AC-3 in S/PDIF frames"

        narrow = burst(1) * 3
        wide = b"".join(b"\0" + narrow[at : at + 2] for at in range(0, len(narrow), 2))
        assert coded_sound(*stored(wide, replace(PLAIN, width=3, bits=24))) == "AC-3 in S/PDIF frames"

    def test_in_bursts_of_which_the_last_is_cut_off(self) -> None:
        assert coded_sound(*stored(burst(1) * 2 + burst(1)[:4])) == "AC-3 in S/PDIF frames"

    def test_of_an_unknown_type_are_samples(self) -> None:
        assert coded_sound(*stored(burst(31) * 3)) is None

    def test_once_is_chance(self) -> None:
        assert coded_sound(*stored(burst(1) + bytes(4000))) is None

    @pytest.mark.parametrize(("count", "name"), [(2, None), (3, "DTS")])
    def test_dts_without_bursts(self, count: int, name: str | None) -> None:
        assert coded_sound(*stored(dts_frame() * count)) == name

    def test_dts_frames_come_at_even_steps(self) -> None:
        assert coded_sound(*stored(dts_frame(2012) + dts_frame(2016) + dts_frame(2012) + dts_frame())) == "DTS"
        assert coded_sound(*stored(dts_frame(2012) + dts_frame(2018) + dts_frame(2012) + dts_frame())) is None

    def test_samples_are_samples(self) -> None:
        assert coded_sound(*stored(noise(20_000, 16, 2))) is None
        assert coded_sound(*stored(bytes(4000))) is None
        assert coded_sound(*stored(burst(1) * 3, replace(PLAIN, is_float=True))) is None
        assert coded_sound(*stored(burst(1) * 3, replace(PLAIN, width=1, bits=8))) is None
