"""What is read from ffmpeg's messages, what goes to the log, and what never does: tags are their owner's."""

from __future__ import annotations

import logging

import pytest

from resample.engine.ffmpeg.messages import FfmpegReport
from resample.sandbox.process import Finished

ENCODED = "[verbose]   Output stream #0:0 (audio): 84 frames encoded (96000 samples); 84 packets muxed (48384 bytes)"


@pytest.mark.parametrize(
    "line",
    [
        "[info]     title           : a private title",
        "                    : its second line",
        "                    : [error] a line of a tag that looks like a message",
        " ",
        "[warning] Guessed Channel Layout: stereo",
        "[mp3float @ 0x55d0c8a3e2c0] [warning] something",
        ENCODED,
    ],
)
def test_what_does_not_go_to_the_log(line: str) -> None:
    report = FfmpegReport()

    assert not report.read_line(line)
    assert report.decode_errors == 0


@pytest.mark.parametrize(
    "line",
    [
        "[error] Error while decoding stream #0:0: Invalid data found when processing input",
        "[aist#0:0/mp3 @ 0x5581] [dec:mp3float @ 0x5582] [error] Error submitting packet to decoder: Invalid data",
        "[in#0/mov @ 0x5581] [error] Error during demuxing: Input/output error",
        "[dec:aac @ 0x5581] [fatal] Decoding error: Invalid data found",
    ],
)
def test_errors_of_decoding_are_counted_and_go_to_the_log(line: str) -> None:
    report = FfmpegReport()

    assert report.read_line(line)
    assert report.read_line(line)
    assert report.decode_errors == 2


@pytest.mark.parametrize(
    "line",
    ["[error] Conversion failed!", "[panic] out of memory", "lame: assertion failed", "free(): invalid pointer", ""],
)
def test_other_complaints_go_to_the_log_and_are_no_errors_of_decoding(line: str) -> None:
    report = FfmpegReport()

    assert report.read_line(line)
    assert report.decode_errors == 0


def test_the_number_of_samples() -> None:
    report = FfmpegReport()

    assert report.sample_frames is None
    report.read_line(ENCODED)
    assert report.sample_frames == 96_000


@pytest.mark.parametrize("line", [ENCODED.removeprefix("[verbose]"), ENCODED.replace("[verbose] ", "[info] title: ")])
def test_a_tag_does_not_tell_the_number_of_samples(line: str) -> None:
    report = FfmpegReport()

    report.read_line(line)

    assert report.sample_frames is None


@pytest.mark.parametrize(("exit_status", "is_disk_full"), [(228, True), (0, False), (1, False), (256 % 28, False)])
def test_a_full_disk_is_an_exit_status(exit_status: int, is_disk_full: bool) -> None:
    """ffmpeg ends with the negative ``errno`` as a byte, and ``ENOSPC`` is 28 on Linux."""
    assert FfmpegReport(exit_status=exit_status).is_disk_full is is_disk_full


def test_an_ordinary_error_is_no_early_end() -> None:
    report = FfmpegReport()

    report.read_line("[error] Conversion failed!")

    assert not report.ended_early


def test_an_early_end_is_noted() -> None:
    report = FfmpegReport()

    assert report.read_line("[matroska,webm @ 0x55d0c8a3e2c0] [error] File ended prematurely at pos. 4711")
    assert report.ended_early


@pytest.mark.parametrize(
    ("finished", "is_told"),
    [
        (Finished(0, ()), False),
        (Finished(1, ()), True),
        (Finished(0, ("[error] something",)), True),
        (Finished(-9, ("[error] something",)), True),
    ],
    ids=["all is well", "it failed without a word", "it complained", "both"],
)
def test_how_ffmpeg_ended_goes_to_the_log_where_something_is_wrong(
    caplog: pytest.LogCaptureFixture, finished: Finished, is_told: bool
) -> None:
    report = FfmpegReport()

    with caplog.at_level(logging.INFO):
        report.end(finished)

    assert report.exit_status == finished.exit_status
    assert ("ffmpeg complained" in caplog.messages) is is_told
