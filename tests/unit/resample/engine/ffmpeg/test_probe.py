"""Asking ffprobe: how much it may say, how long it may take, and what its end means."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from audiojobs.errors import CorruptAudio, InternalError, TimeLimit, UnsupportedFormat
from resample.engine.ffmpeg import probe as probe_module
from resample.engine.ffmpeg.probe import cover_warning, probe, read_answer
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.formats.containers import MP4, OGG, WAV
from resample.sandbox.process import Finished
from tests.unit.resample.engine.conftest import STREAM, Programs

COVER = {"index": 1, "codec_type": "video", "disposition": {"attached_pic": 1}, "width": 9, "height": 9}


def ask(folder: Path, seconds: float = 600.0) -> ProbeResult:
    return probe(folder / "x", WAV, folder=folder, deadline=time.monotonic() + seconds)


def test_its_answer_is_read(programs: Programs, tmp_path: Path) -> None:
    programs.install()

    assert ask(tmp_path) == ProbeResult("pcm_s16le", 32_000, 2, "s16", "stereo", None, None)


def test_tags_that_are_too_long_are_left_out(programs: Programs, tmp_path: Path) -> None:
    programs.install()
    answer = json.dumps({"streams": [STREAM]})
    endless = f"while :; do echo '{'x' * 60_000}'; done"
    (programs.folder / "ffprobe").write_text(
        f"#!/bin/sh\ncase \"$*\" in *stream_tags*) {endless};; *) echo '{answer}';; esac\n"
    )

    assert ask(tmp_path).codec == "pcm_s16le"


def test_streams_without_end_are_the_files_fault(programs: Programs, tmp_path: Path) -> None:
    programs.install()
    (programs.folder / "ffprobe").write_text(f"#!/bin/sh\nwhile :; do echo '{'x' * 60_000}'; done\n")

    with pytest.raises(CorruptAudio, match="too many streams"):
        ask(tmp_path)


def test_the_systems_kill_is_our_fault(programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory. No program here may send signals, so it is only said that one was sent."""
    programs.install()
    monkeypatch.setattr(probe_module, "run", lambda *_, **__: Finished(-9, ()))

    with pytest.raises(InternalError, match="ran out of memory"):
        ask(tmp_path)


def test_our_own_deadline_is_our_fault(programs: Programs, tmp_path: Path) -> None:
    programs.install()

    with pytest.raises(TimeLimit):
        ask(tmp_path, seconds=-1)


def test_reading_for_a_minute_is_the_files_fault(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs.install()
    monkeypatch.setattr(probe_module, "MAX_SECONDS", -1.0)

    with pytest.raises(CorruptAudio, match="takes too long"):
        ask(tmp_path)


@pytest.mark.parametrize(
    ("container", "codec", "seconds"),
    [(OGG, "opus", 7.0), (OGG, "vorbis", 10.0), (MP4, "opus", 10.0)],
    ids=["broadcast", "another codec", "another container"],
)
def test_a_broadcast_is_counted_from_where_the_recording_begins(container: Any, codec: str, seconds: float) -> None:
    stream = {**STREAM, "codec_name": codec, "start_time": "3.0", "duration": "10.0"}

    assert read_answer({"streams": [stream]}, container).duration_seconds == seconds


def test_a_broadcast_that_tells_no_beginning_has_none() -> None:
    stream = {**STREAM, "codec_name": "opus", "duration": "10.0"}

    assert read_answer({"streams": [stream]}, OGG).duration_seconds == 10.0


@pytest.mark.parametrize("sample_rate", [1_000, 3_072_000])
def test_sample_rates_up_to_the_bounds_are_taken(sample_rate: int) -> None:
    assert read_answer({"streams": [{**STREAM, "sample_rate": str(sample_rate)}]}, WAV).sample_rate == sample_rate


@pytest.mark.parametrize("sample_rate", [999, 3_072_001])
def test_beyond_them_the_rate_is_named(sample_rate: int) -> None:
    with pytest.raises(UnsupportedFormat, match=f"a sample rate of {sample_rate} Hz"):
        read_answer({"streams": [{**STREAM, "sample_rate": str(sample_rate)}]}, WAV)


def test_channels_up_to_64_are_taken() -> None:
    assert read_answer({"streams": [{**STREAM, "channels": 64}]}, WAV).channels == 64

    with pytest.raises(UnsupportedFormat, match="has 65 channels; up to 64"):
        read_answer({"streams": [{**STREAM, "channels": 65}]}, WAV)


@pytest.mark.parametrize(
    ("codec", "end"),
    [("cook", "is not supported (cook)."), *((name, "is not supported.") for name in ("unknown", "none", "a b", ""))],
    ids=["known by name", "unknown", "none", "no name", "empty"],
)
def test_a_codec_that_is_not_supported_is_named_if_it_has_a_name(codec: str, end: str) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        read_answer({"streams": [{**STREAM, "codec_name": codec}]}, MP4)

    assert caught.value.detail == f"The codec of the sound in this mp4 file {end}"


@pytest.mark.parametrize("start_time", ["10.0", "11.0"])
def test_a_broadcast_that_begins_behind_its_end_has_no_length(start_time: str) -> None:
    stream = {**STREAM, "codec_name": "opus", "start_time": start_time, "duration": "10.0"}

    assert read_answer({"streams": [stream]}, OGG).duration_seconds is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"codec_name": "gif"}, " (gif)"),
        ({"codec_name": "<b>"}, ""),
        ({}, ""),
        ({"codec_name": "png", "width": 0}, " (png)"),
    ],
    ids=["GIF", "no name", "none", "of unknown size"],
)
def test_a_cover_that_cannot_be_kept_is_told(change: dict[str, Any], named: str) -> None:
    (warning,) = read_answer({"streams": [STREAM, {**COVER, **change}]}, MP4).warnings

    assert (warning.code, f"picture{named} was left out" in warning.detail) == ("cover-left-out", True)


def test_one_cover_that_is_kept_is_enough() -> None:
    probed = read_answer({"streams": [STREAM, {**COVER, "codec_name": "gif"}, {**COVER, "codec_name": "png"}]}, MP4)

    assert (probed.cover_index, probed.warnings) == (1, ())


def test_a_video_is_no_cover() -> None:
    assert read_answer({"streams": [STREAM, {**COVER, "codec_name": "h264", "disposition": {}}]}, MP4).warnings == ()


def test_the_name_of_a_cover_is_one() -> None:
    assert "picture was" in cover_warning("漢字").detail


def test_tags_of_file_and_stream() -> None:
    answer = {
        "streams": [{**STREAM, "tags": {"title": "of the stream"}}],
        "format": {"tags": {"title": "of the file", "artist": "A"}},
    }

    assert read_answer(answer, OGG).tags == {"title": "of the stream", "artist": "A"}
    assert read_answer({"streams": [{**STREAM, "tags": "none"}]}, OGG).tags == {}
