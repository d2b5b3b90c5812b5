"""Is the result the whole of the source? ffmpeg's exit status is no verdict; the length of the sound is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiojobs.conversion import Conversion
from audiojobs.errors import AudioJobError, CorruptAudio, FileError, InternalError, NoAudio, TruncatedAudio
from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.messages import FfmpegReport
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.engine.mp3_file import Mp3Summary
from resample.engine.verdict import (
    check_result,
    cut_warning,
    damage_warnings,
    find_shortfall,
    is_cut_between_frames,
    surplus_warnings,
    truncated,
)
from resample.formats.containers import AAC, FLAC, MP3, MP4, OGG, WAV, Container
from resample.formats.declared import NOTHING, Declared
from resample.formats.last_frame import LastFrame
from tests.unit.resample.formats.test_passthrough import info_frame, mpeg_frame

PROBED = ProbeResult("pcm_s16le", 48_000, 2, "s16", "stereo", None, None)
TEN_SECONDS = Declared(sample_frames=480_000, sample_rate=48_000)
RESULT = Mp3Summary(32_000, 2, 320_000, 192_000, 240_000)


def shortfall(
    seconds: float,
    declared: Declared = TEN_SECONDS,
    *,
    container: Container = WAV,
    report: FfmpegReport | None = None,
    **probed: Any,
) -> FileError | None:
    """Of a result of that length."""
    result = replace(RESULT, sample_frames=round(seconds * 32_000))
    return find_shortfall(report or FfmpegReport(), result, declared, replace(PROBED, **probed), container)


class TestWhatTheHeaderPromises:
    @pytest.mark.parametrize("seconds", [10.0, 9.9995, 12.0], ids=["all of it", "rounded", "more"])
    def test_is_there(self, seconds: float) -> None:
        assert shortfall(seconds) is None

    def test_is_not_all_there(self) -> None:
        error = shortfall(9.9985)

        assert isinstance(error, TruncatedAudio)
        assert error.detail == "The file declares 10.000 seconds of sound; 9.998 could be decoded."

    @pytest.mark.parametrize(("seconds", "is_whole"), [(9.9, True), (9.89, False)])
    def test_may_be_known_roughly(self, seconds: float, is_whole: bool) -> None:
        assert (shortfall(seconds, replace(TEN_SECONDS, tolerance=4_800)) is None) is is_whole

    def test_is_counted_at_the_rate_of_the_sound(self) -> None:
        """HE-AAC and the like declare half the rate that the decoder gives."""
        declared = replace(TEN_SECONDS, sample_rate=24_000)

        assert shortfall(10.0, declared) is None
        error = shortfall(5.0, declared)
        assert error
        assert error.detail == "The file declares 10.000 seconds of sound; 5.000 could be decoded."

    def test_lies_behind_the_end_of_the_file(self) -> None:
        assert isinstance(shortfall(10.0, replace(TEN_SECONDS, missing_bytes=1)), TruncatedAudio)

    def test_broke_off_inside_a_block(self) -> None:
        assert isinstance(shortfall(10.0, NOTHING, report=FfmpegReport(ended_early=True)), TruncatedAudio)

    def test_could_be_decoded_in_part(self) -> None:
        assert isinstance(shortfall(10.0, report=FfmpegReport(exit_status=1)), CorruptAudio)


class TestWhatAnIndexPromises:
    """Of MP4 and Ogg, ffprobe's duration is no estimate; of others it is."""

    @pytest.mark.parametrize("container", [MP4, OGG], ids=str)
    @pytest.mark.parametrize(("seconds", "is_whole"), [(9.91, True), (9.9, True), (9.89, False)])
    def test_is_known_to_a_tenth_of_a_second(self, container: Container, seconds: float, is_whole: bool) -> None:
        found = shortfall(seconds, NOTHING, container=container, codec="opus", duration_seconds=10.0)

        assert (found is None) is is_whole
        if found:
            assert "declares 10.000 seconds" in found.detail

    @pytest.mark.parametrize(
        ("sample_rate", "missing_seconds"),
        # AAC: priming and padding may be counted or not. From 32 kHz on, SBR may have doubled the rate.
        [(48_000, 4 * 2048 / 48_000), (32_000, 4 * 2048 / 32_000), (24_000, 4 * 1024 / 24_000), (96_000, 0.1)],
    )
    def test_of_aac_is_known_to_four_frames(self, sample_rate: int, missing_seconds: float) -> None:
        def is_whole(seconds: float) -> bool:
            found = shortfall(
                seconds, NOTHING, container=MP4, codec="aac", sample_rate=sample_rate, duration_seconds=10.0
            )
            return found is None

        assert is_whole(10 - missing_seconds + 0.0001)
        assert not is_whole(10 - missing_seconds - 0.0001)

    def test_leaves_out_what_is_no_sound(self) -> None:
        declared = Declared(uncounted_seconds=2.0)

        assert shortfall(8.0, declared, container=MP4, duration_seconds=10.0) is None
        assert shortfall(7.8, declared, container=MP4, duration_seconds=10.0)

    @pytest.mark.parametrize("container", [MP3, AAC], ids=str)
    def test_is_an_estimate_elsewhere(self, container: Container) -> None:
        assert shortfall(2.0, NOTHING, container=container, duration_seconds=10.0) is None

    def test_is_not_told(self) -> None:
        assert shortfall(2.0, NOTHING, container=OGG, duration_seconds=None) is None


class TestCutBetweenFrames:
    """A piece of a longer file, whose header it still has, is whole in itself."""

    @pytest.mark.parametrize("errors", [0, 1])
    def test_it_ends_with_a_whole_frame(self, errors: int) -> None:
        assert is_cut_between_frames(FfmpegReport(decode_errors=errors), TEN_SECONDS, LastFrame.WHOLE)

    @pytest.mark.parametrize(
        ("report", "declared", "ending"),
        [
            (FfmpegReport(exit_status=1), TEN_SECONDS, LastFrame.WHOLE),
            (FfmpegReport(decode_errors=2), TEN_SECONDS, LastFrame.WHOLE),
            (FfmpegReport(), replace(TEN_SECONDS, missing_bytes=1), LastFrame.WHOLE),
            (FfmpegReport(), TEN_SECONDS, LastFrame.CUT),
            (FfmpegReport(), TEN_SECONDS, LastFrame.UNKNOWN),
        ],
        ids=["failed", "damaged", "bytes missing", "cut inside", "unknown"],
    )
    def test_it_is_broken(self, report: FfmpegReport, declared: Declared, ending: LastFrame) -> None:
        assert not is_cut_between_frames(report, declared, ending)

    def test_its_owner_is_told_both_lengths(self) -> None:
        warning = cut_warning(TEN_SECONDS, replace(RESULT, sample_frames=80_000))

        assert warning.code == "shorter-than-declared"
        assert "declares 10.000 seconds of sound; the file holds 2.500" in warning.detail
        assert warning.declared_seconds == 10.0

    def test_its_owner_is_told_milliseconds(self) -> None:
        third = Declared(sample_frames=16_000, sample_rate=48_000)

        assert cut_warning(third, RESULT).declared_seconds == 0.333
        assert truncated(third).declared_seconds == truncated(third, RESULT).declared_seconds == 0.333

    def test_its_owner_is_told_no_length_that_the_file_does_not_tell(self) -> None:
        assert cut_warning(NOTHING, RESULT).declared_seconds is None
        assert truncated(NOTHING).declared_seconds is None


class TestDamage:
    @pytest.mark.parametrize(
        ("errors", "container", "ending", "links", "is_told"),
        [
            (0, OGG, LastFrame.UNKNOWN, 1, False),
            (1, OGG, LastFrame.UNKNOWN, 1, True),
            (1, FLAC, LastFrame.WHOLE, 1, False),
            (2, FLAC, LastFrame.WHOLE, 1, True),
            (1, AAC, LastFrame.CUT, 1, False),
            (1, AAC, LastFrame.WHOLE, 1, True),
            (2, AAC, LastFrame.CUT, 1, True),
            (3, OGG, LastFrame.UNKNOWN, 2, False),
            (4, OGG, LastFrame.UNKNOWN, 2, True),
            (6, OGG, LastFrame.UNKNOWN, 3, False),
            (7, OGG, LastFrame.UNKNOWN, 3, True),
        ],
    )
    def test_it_is_told(self, errors: int, container: Container, ending: LastFrame, links: int, is_told: bool) -> None:
        declared = replace(TEN_SECONDS, links=links)

        warnings = damage_warnings(FfmpegReport(decode_errors=errors), declared, container, ending)

        assert [warning.code for warning in warnings] == (["decode-errors"] if is_told else [])


@pytest.mark.parametrize(
    ("declared", "code", "words"),
    [
        (TEN_SECONDS, None, ""),
        (replace(TEN_SECONDS, is_size_stale=True), "longer-than-declared", "All of it was converted"),
        (replace(TEN_SECONDS, left_out_seconds=2.5), "sound-left-out", "stand 2.500 more seconds"),
    ],
    ids=["none", "converted", "left out"],
)
def test_sound_behind_the_declared_end_is_told(declared: Declared, code: str | None, words: str) -> None:
    warnings = surplus_warnings(declared)

    assert [warning.code for warning in warnings] == ([code] if code else [])
    assert all(words in warning.detail for warning in warnings)


def test_a_truncated_file_says_what_it_declares_if_it_does() -> None:
    assert truncated(TEN_SECONDS).detail == "The file ends before the 10.000 seconds that it declares."
    assert truncated(NOTHING, RESULT).detail == TruncatedAudio().detail


class TestTheWrittenFile:
    """10 MPEG frames of 1152 sample frames, of which the encoder's delay and padding (576 each) are no sound."""

    SAMPLE_FRAMES = 10 * 1152 - 2 * 576

    @pytest.fixture
    def task(self, tmp_path: Path) -> EncodeTask:
        destination = tmp_path / "result.mp3"
        audio = mpeg_frame(192) * 10
        destination.write_bytes(info_frame(10, len(audio) + 576) + audio)
        return EncodeTask(tmp_path / "x", WAV, PROBED, Conversion(), destination, tmp_path, 0.0)

    def test_is_as_was_asked_for(self, task: EncodeTask) -> None:
        summary = check_result(task, FfmpegReport(), TEN_SECONDS)

        assert (summary.sample_rate, summary.channels, summary.sample_frames) == (32_000, 2, self.SAMPLE_FRAMES)

    def test_is_as_long_as_what_went_into_the_encoder(self, task: EncodeTask) -> None:
        report = FfmpegReport(sample_frames=self.SAMPLE_FRAMES - 30)

        assert check_result(task, report, TEN_SECONDS).sample_frames == self.SAMPLE_FRAMES - 30

    @pytest.mark.parametrize(
        "conversion", [Conversion(sample_rate=44_100), Conversion(channels=1)], ids=["rate", "channels"]
    )
    def test_is_not_what_was_asked_for(self, task: EncodeTask, conversion: Conversion) -> None:
        with pytest.raises(InternalError):
            check_result(replace(task, conversion=conversion), FfmpegReport(), TEN_SECONDS)

    @pytest.mark.parametrize(
        ("report", "words"),
        [(FfmpegReport(exit_status=-9), "memory"), (FfmpegReport(exit_status=256 - 28), "disk space")],
        ids=["killed", "ENOSPC"],
    )
    def test_could_not_be_finished(self, task: EncodeTask, report: FfmpegReport, words: str) -> None:
        with pytest.raises(InternalError, match=f"ran out of {words}"):
            check_result(task, report, TEN_SECONDS)

    @pytest.mark.parametrize(
        ("report", "declared", "error"),
        [
            (FfmpegReport(sample_frames=0), replace(TEN_SECONDS, missing_bytes=9), TruncatedAudio),
            (FfmpegReport(exit_status=1), TEN_SECONDS, CorruptAudio),
            (FfmpegReport(decode_errors=1), TEN_SECONDS, CorruptAudio),
            (FfmpegReport(), TEN_SECONDS, NoAudio),
        ],
        ids=["cut off", "failed", "damaged", "silent"],
    )
    @pytest.mark.parametrize("is_there", [False, True], ids=["none", "empty"])
    def test_has_no_sound(
        self,
        task: EncodeTask,
        report: FfmpegReport,
        declared: Declared,
        error: type[AudioJobError],
        is_there: bool,
    ) -> None:
        if is_there:
            task.destination.write_bytes(info_frame(1, 576))  # all of which is delay and padding
        else:
            task.destination.unlink()

        with pytest.raises(error):
            check_result(task, report, declared)
