"""A file that is not here yet: through a pipe, or into a file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from audiojobs.errors import TimeLimit, UploadReplaced
from resample.engine.ranges import CONNECTIONS, RANGE_BYTES, fetch_in_ranges
from resample.engine.streamed_source import StreamedSource
from resample.formats.containers import FLAC, WAV, Container
from tests.audio import synth

CONTENT = bytes(range(256)) * 5000  # more than any pipe holds


def streamed(
    content: bytes = CONTENT, *, head_bytes: int = 4096, meanwhile: Callable[[int], object] = bool
) -> StreamedSource:
    def chunks() -> Iterator[bytes]:
        for offset in range(0, len(content), 100_000):
            meanwhile(offset)
            yield content[offset : offset + 100_000]

    return StreamedSource(len(content), content[:head_bytes], chunks)


def nobody(_: float) -> None:
    """Is told."""


def soon(seconds: float = 60.0) -> float:
    return time.monotonic() + seconds


def read_all(pipe: int) -> bytes:
    return b"".join(iter(lambda: os.read(pipe, 65_536), b""))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class TestFetch:
    def test_the_whole_file_arrives_and_progress_grows_to_one(self, tmp_path: Path) -> None:
        progress: list[float] = []

        streamed().fetch(tmp_path / "x", deadline=soon(), on_progress=progress.append)

        assert (tmp_path / "x").read_bytes() == CONTENT
        assert progress == sorted(progress)
        assert progress[0] > 0
        assert progress[-1] == 1.0

    def test_an_empty_file_is_one(self, tmp_path: Path) -> None:
        streamed(b"").fetch(tmp_path / "x", deadline=soon(), on_progress=nobody)

        assert (tmp_path / "x").read_bytes() == b""

    def test_what_ends_the_download_is_what_is_raised(self, tmp_path: Path) -> None:
        def replaced(offset: int) -> None:
            if offset:
                raise UploadReplaced

        before = open_descriptors()
        with pytest.raises(UploadReplaced):
            streamed(meanwhile=replaced).fetch(tmp_path / "x", deadline=soon(), on_progress=nobody)

        assert open_descriptors() == before

    def test_the_deadline_holds_while_nothing_comes(self, tmp_path: Path) -> None:
        with pytest.raises(TimeLimit):
            streamed(meanwhile=lambda _: time.sleep(0.3)).fetch(tmp_path / "x", deadline=soon(0.05), on_progress=nobody)

    def test_what_the_callback_raises_ends_it(self, tmp_path: Path) -> None:
        def stop(_: float) -> None:
            raise KeyError

        with pytest.raises(KeyError):
            streamed().fetch(tmp_path / "x", deadline=soon(), on_progress=stop)


class TestRanges:
    """Several connections at a time."""

    @pytest.fixture(autouse=True)
    def all_have_ended(self) -> Iterator[None]:
        """Whoever comes next counts open files."""
        yield
        for thread in threading.enumerate():
            if thread.name == "fetching":
                thread.join(60)

    def test_the_whole_file_arrives_and_no_more_than_so_many_are_read_at_a_time(self, tmp_path: Path) -> None:
        at_work: list[int] = []
        most = 0
        everybody_is_there = threading.Barrier(CONNECTIONS)
        progress: list[float] = []

        def read_range(start: int, end: int) -> Iterator[bytes]:
            nonlocal most
            at_work.append(start)
            most = max(most, len(at_work))
            if start < CONNECTIONS * 100_000:
                everybody_is_there.wait(60)  # none of the first waits for another one's end
            for offset in range(start, end, 30_000):
                yield CONTENT[offset : min(offset + 30_000, end)]
            at_work.remove(start)

        fetch_in_ranges(
            read_range,
            len(CONTENT),
            tmp_path / "x",
            deadline=soon(),
            on_progress=progress.append,
            range_bytes=100_000,
        )

        assert (tmp_path / "x").read_bytes() == CONTENT
        assert most == CONNECTIONS
        assert progress == sorted(progress)
        assert progress[-1] == 1.0

    def test_what_ends_one_of_them_ends_all(self, tmp_path: Path) -> None:
        asked: list[int] = []

        def read_range(start: int, end: int) -> Iterator[bytes]:
            asked.append(start)
            if start:
                raise UploadReplaced
            yield CONTENT[start:end]

        with pytest.raises(UploadReplaced):
            fetch_in_ranges(
                read_range, len(CONTENT), tmp_path / "x", deadline=soon(), on_progress=nobody, range_bytes=10_000
            )

        assert len(asked) <= 2 * CONNECTIONS

    @pytest.mark.parametrize("seconds_left", [0.05, 0.0, -5.0])
    def test_the_deadline_holds_while_nothing_comes(self, tmp_path: Path, seconds_left: float) -> None:
        deadline = soon(seconds_left)
        goes_on = threading.Event()

        def read_range(start: int, end: int) -> Iterator[bytes]:
            goes_on.wait(60)
            yield CONTENT[start:end]

        try:
            with pytest.raises(TimeLimit):
                fetch_in_ranges(read_range, len(CONTENT), tmp_path / "x", deadline=deadline, on_progress=nobody)
        finally:
            goes_on.set()

    def test_a_megabyte_more_or_less_is_no_request_of_its_own(self, tmp_path: Path) -> None:
        """S3 bills each of them: a file of 40 MiB takes three."""
        asked: list[int] = []

        def read_range(start: int, end: int) -> Iterator[bytes]:
            asked.append(end - start)
            yield bytes(end - start)

        fetch_in_ranges(read_range, 40 << 20, tmp_path / "x", deadline=soon(), on_progress=nobody)

        assert sorted(asked) == [8 << 20, 16 << 20, 16 << 20]

    @pytest.mark.parametrize(("size", "in_ranges"), [(RANGE_BYTES, False), (RANGE_BYTES + 1, True)])
    def test_only_a_large_file_is_fetched_so(self, tmp_path: Path, size: int, in_ranges: bool) -> None:
        ways: set[str] = set()

        def chunks() -> Iterator[bytes]:
            ways.add("whole")
            yield bytes(size)

        def read_range(start: int, end: int) -> Iterator[bytes]:
            ways.add("ranges")
            yield bytes(end - start)

        StreamedSource(size, b"", chunks, read_range).fetch(tmp_path / "x", deadline=soon(), on_progress=nobody)

        assert (tmp_path / "x").stat().st_size == size
        assert ways == {"ranges" if in_ranges else "whole"}


class TestFlow:
    def test_the_whole_file_comes_and_then_the_end(self) -> None:
        before = open_descriptors()

        with streamed().flowing() as pipe:
            assert read_all(pipe) == CONTENT

        assert open_descriptors() == before

    def test_it_can_be_had_again(self) -> None:
        source = streamed()

        for _ in range(2):
            with source.flowing() as pipe:
                assert read_all(pipe) == CONTENT

    def test_whoever_has_seen_enough_stops_it_without_an_error(self) -> None:
        taken: list[int] = []

        with streamed(CONTENT * 20, meanwhile=taken.append).flowing() as pipe:
            assert os.read(pipe, 10) == CONTENT[:10]

        assert taken[-1] < len(CONTENT) * 19

    def test_a_failure_comes_before_what_the_reader_made_of_it(self) -> None:
        def replaced(offset: int) -> None:
            raise UploadReplaced

        def read() -> None:
            with streamed(meanwhile=replaced).flowing() as pipe:
                assert read_all(pipe) == b""
                raise ValueError("the file is cut off")

        with pytest.raises(UploadReplaced):
            read()


def test_the_outline_begins_like_the_file_and_is_as_long(tmp_path: Path) -> None:
    streamed().write_outline(tmp_path / "x")

    outline = (tmp_path / "x").read_bytes()
    assert (outline[:4096], len(outline)) == (CONTENT[:4096], len(CONTENT))
    assert not any(outline[4096:])


def plain_wav(**layout: object) -> bytes:
    return synth.wav_bytes(synth.sine(1.0), "s16", **layout)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "container", "is_sequential"),
    [
        (plain_wav(), WAV, True),
        (plain_wav()[:3000], WAV, False),
        (plain_wav() + b"LIST\x04\0\0\0INFO", WAV, False),
        (b"fLaC" + bytes(90_000), FLAC, False),
    ],
    ids=["plain", "all of it is here", "tags behind the sound", "another format"],
)
def test_only_plain_pcm_is_decoded_while_it_arrives(content: bytes, container: Container, is_sequential: bool) -> None:
    assert streamed(content, head_bytes=40_000).is_sequential(container) is is_sequential
