"""Ogg: whether the last page is whole, what is counted and is no sound, and how many streams follow each other."""

from __future__ import annotations

import struct

import pytest

from resample.formats.containers import OGG
from resample.formats.declared import NOTHING, Declared
from tests.unit.resample.formats.test_declared_length import of

VORBIS, OPUS = b"\x01vorbis" + bytes(23), b"OpusHead\x01\x02" + struct.pack("<HIHB", 3840, 48_000, 0, 0)


def page(content: bytes, *, flags: int = 0, stream: int = 1) -> bytes:
    lacing = bytes([255] * (len(content) // 255) + [len(content) % 255])
    head = struct.pack("<4sBBqIII", b"OggS", 0, flags, 0, stream, 0, 0)
    return head + bytes([len(lacing)]) + lacing + content


def stream(head: bytes, pages: int = 3, size: int = 4000) -> bytes:
    return page(head, flags=2) + page(b"\x11" * size) * pages


def test_a_whole_file() -> None:
    assert of(stream(VORBIS), OGG) == Declared()
    assert of(stream(OPUS), OGG) == Declared(uncounted_seconds=0.08)


@pytest.mark.parametrize("missing", [1, 4000])
def test_a_last_page_that_is_cut_off(missing: int) -> None:
    assert of(stream(VORBIS)[:-missing], OGG).missing_bytes == missing


@pytest.mark.parametrize(("kept", "missing"), [(5, 22), (26, 1), (27, 1), (4, 0)])
def test_a_last_page_of_which_only_the_header_is_there(kept: int, missing: int) -> None:
    whole = stream(VORBIS, pages=1)
    header = page(b"")[:27]

    assert of(whole + header[:kept], OGG).missing_bytes == missing


def test_bytes_behind_the_last_page_are_none_of_it() -> None:
    assert of(stream(VORBIS) + b"TAG" + bytes(125), OGG) == Declared()


def test_the_last_page_may_be_the_only_one() -> None:
    only = page(VORBIS, flags=2)

    assert of(only[:-1], OGG).missing_bytes == 1


def test_no_page_at_all() -> None:
    assert of(b"\x11" * 1000, OGG) == NOTHING


def test_a_long_file_is_read_in_part() -> None:
    content = stream(VORBIS, pages=40, size=60_000)

    assert of(content, OGG) == Declared()
    assert of(content[:-1], OGG).missing_bytes == 1


class TestChained:
    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_streams_of_one_codec_are_counted(self, count: int) -> None:
        assert of(stream(VORBIS) * count, OGG).links == count

    def test_beyond_a_megabyte(self) -> None:
        assert of(stream(VORBIS, pages=30, size=50_000) * 2 + stream(VORBIS), OGG).links == 3

    @pytest.mark.parametrize("offset", range(-30, 3))
    def test_wherever_a_megabyte_ends(self, offset: int) -> None:
        """The page that begins a stream may lie across."""
        first = stream(VORBIS)
        content = first + b"\x11" * ((1 << 20) + offset - len(first)) + stream(VORBIS)

        assert of(content, OGG).links == 2

    def test_a_change_of_the_codec_is_no_row(self) -> None:
        assert of(stream(VORBIS) + stream(OPUS), OGG).links == 1

    def test_streams_at_the_same_time_count_once(self) -> None:
        both = page(VORBIS, flags=2) + page(VORBIS, flags=2, stream=2) + page(b"\x11" * 4000) * 2

        assert of(both, OGG).links == 1
        assert of(both * 2, OGG).links == 2

    def test_there_is_a_bound(self) -> None:
        assert of(page(VORBIS, flags=2) + (page(b"\x11") + page(VORBIS, flags=2)) * 1200, OGG).links == 1000
