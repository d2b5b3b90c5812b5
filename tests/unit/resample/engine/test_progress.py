"""How much is done, from what ffmpeg reports."""

from __future__ import annotations

import time

import pytest

from resample.engine.progress import PROGRESS_INTERVAL_SECONDS, Progress


@pytest.fixture
def told() -> list[float]:
    return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets forward."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_it_grows_to_one_and_no_further(told: list[float], clock: list[float]) -> None:
    progress = Progress(10.0, told.append)

    for seconds in (0.0, 2.5, 1.0, 5.0, 10.0, 10.5):
        clock[0] += PROGRESS_INTERVAL_SECONDS
        progress.reach(seconds)

    assert told == [0.25, 0.25, 0.5, 1.0, 1.0]


def test_it_is_told_at_most_twice_a_second(told: list[float], clock: list[float]) -> None:
    progress = Progress(10.0, told.append)

    for number in range(1, 11):
        clock[0] += 0.125
        progress.reach(number)

    assert told == [0.4, 0.8]


def test_nobody_is_told_while_the_length_is_unknown(told: list[float], clock: list[float]) -> None:
    progress = Progress(None, told.append)
    clock[0] += 60

    progress.reach(3.0)

    assert told == []
    assert progress.seconds == 3.0


def test_ffmpegs_reports_come_in_pieces_and_between_other_lines(told: list[float], clock: list[float]) -> None:
    progress = Progress(10.0, told.append)
    clock[0] += 60

    progress.feed(b"bitrate= 192.0kbits/s\nout_time_us=25")
    assert progress.seconds == 0.0
    progress.feed(b"00000\r\nout_time=00:00:09.9\nprogress=continue\n")

    assert progress.seconds == 2.5
    assert told == [0.25]


@pytest.mark.parametrize(
    "line", [b"out_time_us=N/A\n", b"out_time_us=-9000000\n", b"out_time_us=\n", b"\n", b"x" * 9999]
)
def test_what_tells_no_time_is_no_progress(told: list[float], line: bytes) -> None:
    progress = Progress(10.0, told.append)

    progress.feed(line)
    progress.feed(b"\nout_time_us=1000000\n")

    assert progress.seconds == 1.0
