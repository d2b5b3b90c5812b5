"""PCM on its way through memory, from one pipe to several."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resample.engine.parallel.failure import ParallelEncodingFailed
from resample.engine.parallel.pcm_window import PcmWindow


@contextmanager
def piped(data: bytes) -> Iterator[int]:
    """The reading end of a pipe into which ``data`` is written."""
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as file:
            file.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield reading
    finally:
        os.close(reading)
        writer.join()


def noise(size: int) -> bytes:
    return Random(size).randbytes(size)


class Taker:
    """An encoder's place: takes the PCM from ``position`` on out of a pipe of its own."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        self.taken = b""

    def take(self, window: PcmWindow) -> None:
        count = window.send(self.writing, self.position)
        self.position += count
        while count:
            data = os.read(self.reading, count)
            self.taken += data
            count -= len(data)

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)


@settings(max_examples=20)
@given(
    size=st.integers(0, 3 << 20),
    capacity=st.integers(1, 1 << 20),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=3),
)
def test_every_taker_gets_all_from_its_position_on(size: int, capacity: int, shares: list[float]) -> None:
    data = noise(size)
    starts = [0, *sorted(int(share * min(size, capacity)) for share in shares)]
    with piped(data) as pipe:
        window = PcmWindow(pipe, capacity)
        takers = [Taker(start) for start in starts]
        try:
            while not window.at_end or any(taker.position < window.end for taker in takers):
                window.fill()
                for taker in takers:
                    taker.take(window)
                window.release(min(taker.position for taker in takers))
                assert window.end - window.start <= max(capacity, 4 << 16) + (4 << 16)

            assert [taker.taken == data[start:] for start, taker in zip(starts, takers, strict=True)] == [True] * len(
                takers
            )
        finally:
            window.close()
            for taker in takers:
                taker.close()


def test_what_nobody_has_taken_is_not_read_beyond_the_capacity() -> None:
    with piped(noise(4 << 20)) as pipe:
        window = PcmWindow(pipe, 1 << 20)
        while window.end < 1 << 20:
            window.fill()
        more, _, _ = select.select([pipe], [], [])

        assert more
        assert not window.fill()
        assert 1 << 20 <= window.end <= (1 << 20) + (128 << 10)
        assert not window.at_end
        window.close()


@pytest.mark.timeout(10)  # it would wait for ever
def test_a_source_that_has_nothing_yet_is_not_waited_for() -> None:
    reading, writing = os.pipe()
    window = PcmWindow(reading, 1 << 20)

    assert not window.fill()
    os.write(writing, b"1234")
    assert window.fill()
    assert (window.start, window.end, window.at_end) == (0, 4, False)

    for end in (reading, writing):
        os.close(end)


def test_a_taker_that_is_gone_is_an_error() -> None:
    with piped(b"1234") as pipe:
        window = PcmWindow(pipe, 1 << 20)
        while not window.at_end:
            window.fill()
        taker = Taker(0)
        os.close(taker.reading)

        with pytest.raises(ParallelEncodingFailed):
            window.send(taker.writing, 0)

        os.close(taker.writing)
        window.close()
