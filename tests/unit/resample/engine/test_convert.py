"""What becomes of a file, by what it declares, what ffprobe and ffmpeg say of it, and what ffmpeg writes."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audiojobs.conversion import Conversion
from audiojobs.errors import (
    AudioJobError,
    CorruptAudio,
    InternalError,
    NoAudio,
    TimeLimit,
    TruncatedAudio,
    UnsupportedFormat,
    UploadTooLarge,
)
from audiojobs.job import Result, Source
from resample.engine import convert as convert_module
from resample.engine import progress
from resample.engine.convert import Converted, convert
from resample.engine.encode import encode
from resample.engine.encode_task import EncodeTask
from resample.engine.ffmpeg.messages import FfmpegReport
from resample.engine.streamed_source import StreamedSource
from resample.formats.containers import AAC, FLAC, MP3, MP4, RIFX, WAV, Container
from tests.audio import synth
from tests.audio.broken import id3v2
from tests.unit.resample.engine.conftest import STREAM, Programs
from tests.unit.resample.formats.test_id3_frames import frame, tag
from tests.unit.resample.formats.test_passthrough import info_frame, mpeg_frame

PNG_COVER = {
    "index": 1,
    "codec_type": "video",
    "codec_name": "png",
    "width": 9,
    "height": 9,
    "disposition": {"attached_pic": 1},
}

FLAC_HEAD = b"fLaC" + bytes([0, 0, 0, 34]) + bytes(10) + (32_000 << 44 | 1 << 41 | 15 << 36 | 32_256).to_bytes(8, "big")
SECONDS = 1.008  # 28 MPEG frames
MPEG_FRAMES = 29  # what the encoder writes for them: delay and padding (576 each) are no sound


def written(mpeg_frames: int = MPEG_FRAMES, *, room: int = 0) -> bytes:
    """What ffmpeg writes, with ``room`` for tags."""
    audio = mpeg_frame(192) * mpeg_frames
    return (id3v2(room) if room else b"") + info_frame(mpeg_frames, len(audio) + 576) + audio


def wav(seconds: float = SECONDS, sample_rate: int = 32_000, **layout: Any) -> bytes:
    samples = synth.sine(seconds, channels=2, sample_rate=sample_rate)
    return synth.wav_bytes(samples, "s16", channels=2, sample_rate=sample_rate, **layout)


class Engine:
    def __init__(self, programs: Programs, folder: Path) -> None:
        self.programs = programs
        self.mp3 = folder / "out" / "result.mp3"
        self.mp3.parent.mkdir()
        self.source = folder / "source"
        self.progress: list[float] = []
        programs.mp3 = written()

    def convert(
        self, content: bytes, container: Container = WAV, *, streamed: bool = False, **wishes: Any
    ) -> Converted:
        self.programs.install()
        self.source.write_bytes(content)

        def chunks() -> Iterator[bytes]:
            for offset in range(0, len(content), 10_000):
                yield content[offset : offset + 10_000]

        try:
            return convert(
                StreamedSource(len(content), content[:40_000], chunks) if streamed else self.source,
                container,
                Conversion(**wishes),
                self.mp3,
                deadline=time.monotonic() + 600,
                on_progress=self.progress.append,
            )
        finally:
            assert {path.name for path in self.mp3.parent.iterdir()} <= {"result.mp3"}


@pytest.fixture
def engine(programs: Programs, tmp_path: Path) -> Engine:
    return Engine(programs, tmp_path)


def codes(converted: Converted) -> list[str]:
    return [warning.code for warning in converted.warnings]


class TestAWholeFile:
    def test_the_result_and_the_facts(self, engine: Engine) -> None:
        content = wav()

        converted = engine.convert(content)

        assert engine.mp3.read_bytes()[-576:] == mpeg_frame(192)[-576:]
        assert converted.source == Source("wav", "pcm_s16le", 32_000, 2, SECONDS, len(content))
        assert converted.result == Result(32_000, 192_000, 2, SECONDS, len(written()), passthrough=False)
        assert (converted.warnings, converted.is_fallback) == ((), False)

    def test_the_bit_rate_of_a_variable_one_is_the_mean_of_the_result(self, engine: Engine) -> None:
        assert engine.convert(wav(), bit_rate=None, vbr_quality=4).result.bit_rate == 192_000

    @pytest.mark.parametrize("streamed", [False, True])
    def test_from_the_disk_or_while_it_arrives(self, engine: Engine, streamed: bool) -> None:
        engine.convert(wav(), streamed=streamed)

        (call,) = engine.programs.calls("ffmpeg")
        assert (f"-i file:{engine.source}" in call) is not streamed
        assert ("-i pipe:" in call) is streamed

    def test_what_cannot_be_decoded_while_it_arrives_is_fetched_first(self, engine: Engine) -> None:
        content = FLAC_HEAD + bytes(50_000)
        engine.programs.stream = {**STREAM, "codec_name": "flac"}

        converted = engine.convert(content, FLAC, streamed=True)

        assert converted.source.size_bytes == len(content)
        assert engine.progress == sorted(engine.progress)
        assert engine.progress[-1] == pytest.approx(0.1), "the fetching is a tenth of the work"

    def test_and_its_conversion_is_the_rest_of_the_work(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(progress, "PROGRESS_INTERVAL_SECONDS", 0.0)
        engine.programs.stream = {**STREAM, "codec_name": "flac"}
        engine.programs.progress = f"out_time_us={SECONDS / 2 * 1e6:.0f}\nprogress=continue\n"

        engine.convert(FLAC_HEAD + bytes(50_000), FLAC, streamed=True)

        assert engine.progress[-1] == pytest.approx(0.1 + 0.9 / 2, abs=0.01)

    def test_its_tags_are_in_the_result(self, engine: Engine) -> None:
        engine.programs.stream = {**STREAM, "tags": {"title": "Song", "encoder": "x"}}
        engine.programs.mp3 = written(room=600)

        engine.convert(wav())

        assert engine.mp3.read_bytes()[10:].startswith(b"TIT2\x00\x00\x00\x05\x00\x00\x00Song\x00")
        (call,) = engine.programs.calls("ffmpeg")
        assert "-metadata_header_padding 527" in call, "room for the title (15 bytes), and some"

    @pytest.mark.parametrize(
        ("picture", "others", "warnings"),
        [
            (b"RIFF\0\0\0\0WEBPVP8 ", [], ["cover-left-out"]),
            (b"RIFF\0\0\0\0WEBPVP8 ", [PNG_COVER], []),
            (b"RIFF\0\0\0\0WEBPVP8 ", [{**PNG_COVER, "codec_name": "gif"}], ["cover-left-out"]),
            (b"\xff\xd8\xff\xe0" + bytes(20), [], []),
        ],
        ids=["one that ffprobe does not know", "beside one that is kept", "beside one that is told", "JPEG"],
    )
    def test_a_cover_that_players_cannot_show_is_told_once(
        self, engine: Engine, picture: bytes, others: list[dict[str, Any]], warnings: list[str]
    ) -> None:
        engine.programs.stream = {**STREAM, "codec_name": "mp3"}
        engine.programs.others = others

        converted = engine.convert(tag(frame(b"APIC", b"\0image/any\0\3\0" + picture)) + mpeg_frame() * 40, MP3)

        assert codes(converted) == warnings

    def test_what_the_header_says_of_the_length_is_what_the_source_has(self, engine: Engine) -> None:
        """The result may be longer by what a resampler adds, but not by more."""
        engine.programs.stream = {**STREAM, "sample_rate": "44100"}

        converted = engine.convert(wav(1.0075, 44_100))

        assert converted.source.duration_seconds == pytest.approx(1.0075, abs=1 / 44_100)
        assert converted.result.duration_seconds == SECONDS

    def test_a_source_that_turns_out_longer_has_the_length_of_the_result(self, engine: Engine) -> None:
        assert engine.convert(wav(0.9)).source.duration_seconds == SECONDS


class TestAFileThatIsNotWhole:
    def test_too_little_sound(self, engine: Engine) -> None:
        engine.programs.mp3 = written(20)

        with pytest.raises(TruncatedAudio, match=r"declares 1\.008 seconds of sound; 0\.684 could be decoded"):
            engine.convert(wav())

    def test_gives_what_there_is_where_that_is_allowed(self, engine: Engine) -> None:
        engine.programs.mp3 = written(20)

        converted = engine.convert(wav(), allow_partial=True)

        assert codes(converted) == ["truncated-audio"]
        assert converted.source.duration_seconds == converted.result.duration_seconds == 0.684

    def test_bytes_that_are_missing(self, engine: Engine) -> None:
        with pytest.raises(TruncatedAudio):
            engine.convert(wav()[:-1000])

        assert engine.programs.calls("ffprobe") == [], "that shows before anything is begun"
        assert codes(engine.convert(wav()[:-1000], allow_partial=True)) == ["truncated-audio"]

    def test_a_piece_that_was_cut_between_frames(self, engine: Engine) -> None:
        engine.programs.stream = {**STREAM, "codec_name": "mp3"}
        engine.programs.mp3 = written(20)

        converted = engine.convert(info_frame(40, 0) + mpeg_frame() * 20, MP3)

        assert codes(converted) == ["shorter-than-declared"]

    def test_a_piece_that_was_cut_inside_a_frame(self, engine: Engine) -> None:
        engine.programs.stream = {**STREAM, "codec_name": "mp3"}
        engine.programs.mp3 = written(20)

        with pytest.raises(TruncatedAudio):
            engine.convert((info_frame(40, 0) + mpeg_frame() * 20)[:-100], MP3)

    def test_damage_inside_is_told(self, engine: Engine) -> None:
        engine.programs.messages = "[mp3float @ 0x5] [error] Error submitting packet to decoder: x\n" * 2

        assert codes(engine.convert(wav())) == ["decode-errors"]

    def test_nothing_in_it(self, engine: Engine) -> None:
        with pytest.raises(NoAudio, match="a header and no sound"):
            engine.convert(wav(0.0))

        assert engine.programs.calls("ffprobe") == []

    @pytest.mark.parametrize("allow_partial", [False, True])
    def test_nothing_that_can_be_decoded(self, engine: Engine, allow_partial: bool) -> None:
        engine.programs.mp3 = None

        with pytest.raises(NoAudio):
            engine.convert(wav(), allow_partial=allow_partial)

    def test_a_decoder_that_fails(self, engine: Engine) -> None:
        engine.programs.status = 69

        with pytest.raises(CorruptAudio, match="only a part of it could be decoded"):
            engine.convert(wav())
        assert codes(engine.convert(wav(), allow_partial=True)) == ["corrupt-audio"]


class TestSamplesWithUnusedBytes:
    """ffprobe takes them for narrower ones: the header's block size tells how they are read."""

    @pytest.mark.parametrize(
        ("tag", "bits", "width", "decoder", "sample_format"),
        [
            (1, 16, 1, "pcm_u8", "u8"),
            (1, 8, 2, "pcm_s16le", "s32"),
            (1, 24, 4, "pcm_s32le", "s32"),
            (3, 32, 8, "pcm_f64le", "flt"),
        ],
    )
    def test_have_a_decoder_of_their_own(
        self,
        engine: Engine,
        monkeypatch: pytest.MonkeyPatch,
        tag: int,
        bits: int,
        width: int,
        decoder: str,
        sample_format: str,
    ) -> None:
        tasks: list[EncodeTask] = []

        def note(task: EncodeTask, *arguments: Any, **named: Any) -> FfmpegReport:
            tasks.append(task)
            return encode(task, *arguments, **named)

        monkeypatch.setattr(convert_module, "encode", note)
        content = bytearray(wav())
        content[20:36] = struct.pack("<HHIIHH", tag, 2, 32_000, 32_000 * 2 * width, 2 * width, bits)
        content[44:] = b"\x40" * (32_256 * 2 * width)
        content[40:44] = struct.pack("<I", len(content) - 44)

        converted = engine.convert(bytes(content))

        (task,) = tasks
        assert converted.source.codec == decoder
        assert (task.probed.decoder, task.probed.sample_format) == (decoder, sample_format)


class TestWhatFfprobeSays:
    def test_nothing(self, engine: Engine) -> None:
        engine.programs.probe_status = 1

        with pytest.raises(CorruptAudio, match="begins as wav but is damaged"):
            engine.convert(wav())

    def test_nothing_of_a_file_that_is_cut_off(self, engine: Engine) -> None:
        engine.programs.probe_status = 1

        with pytest.raises(TruncatedAudio, match="cut off"):
            engine.convert(wav()[:-1000], allow_partial=True)

    @pytest.mark.parametrize("sample_rate", ["44100", "48000"])
    @pytest.mark.parametrize("codec", ["flac", "alac", "pcm_s24le", "wavpack"])
    def test_nothing_of_compressed_sound_that_was_copied_as_samples(
        self, engine: Engine, codec: str, sample_rate: str
    ) -> None:
        engine.programs.stream = {**STREAM, "codec_name": codec, "sample_rate": sample_rate}
        burst = [0xF872, 0x4E1F, 1, *range(1000, 1500)]
        engine.programs.pcm = b"".join(struct.pack("<HH", 0, word) for word in burst * 4)

        with pytest.raises(UnsupportedFormat, match="it holds AC-3 in S/PDIF frames"):
            engine.convert(FLAC_HEAD + bytes(50_000), FLAC)

    @pytest.mark.parametrize("other", [{"sample_rate": "32000"}, {"channels": 3}, {"codec_name": "mp3"}], ids=str)
    def test_but_no_cable_carries_that(self, engine: Engine, other: dict[str, Any]) -> None:
        engine.programs.stream = {**STREAM, "codec_name": "flac", "sample_rate": "48000", **other}

        engine.convert(FLAC_HEAD + bytes(50_000), FLAC)

        assert not [call for call in engine.programs.calls("ffmpeg") if "s32le" in call], (
            "nothing was decoded to look at"
        )

    def test_nothing_of_a_big_endian_header(self, engine: Engine) -> None:
        engine.programs.probe_status = 1

        with pytest.raises(UnsupportedFormat, match="big-endian"):
            engine.convert(wav(form="RIFX"), RIFX)

    def test_no_sound(self, engine: Engine) -> None:
        engine.programs.stream = {}

        with pytest.raises(NoAudio):
            engine.convert(wav())

    def test_more_hours_than_can_be_converted(self, engine: Engine) -> None:
        """Of an MP4, whose index tells it. 600 seconds are left."""
        for hours, said in ((780, "780"), (7_800, "7,800")):
            engine.programs.stream = {**STREAM, "codec_name": "aac", "duration": str(hours * 3600)}

            with pytest.raises(UploadTooLarge, match=f"declares {said} hours"):
                engine.convert(bytes(1000), MP4)
        assert engine.programs.calls("ffmpeg") == []

    def test_as_many_hours_as_may_just_be_converted(self, engine: Engine) -> None:
        engine.programs.stream = {**STREAM, "codec_name": "aac", "duration": str(250 * 3600)}

        with pytest.raises(TruncatedAudio):
            engine.convert(bytes(1000), MP4)
        assert len(engine.programs.calls("ffmpeg")) == 1

    def test_another_codec_in_the_clothes_of_pcm_has_a_length_of_its_own(self, engine: Engine) -> None:
        engine.programs.stream = {**STREAM, "codec_name": "dts"}
        engine.programs.mp3 = written(10)

        converted = engine.convert(wav())

        assert converted.source.duration_seconds == converted.result.duration_seconds
        assert codes(converted) == []


class TestHowFfmpegEnds:
    @pytest.mark.parametrize(
        ("status", "error"), [(256 - 28, InternalError), (1, CorruptAudio)], ids=["no space", "anything else"]
    )
    def test_by_itself(self, engine: Engine, status: int, error: type[AudioJobError]) -> None:
        engine.programs.mp3, engine.programs.status = None, status

        with pytest.raises(error):
            engine.convert(wav())

    @pytest.mark.parametrize("missing", ["ffmpeg", "ffprobe"])
    def test_it_is_not_there(self, engine: Engine, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def which(name: str) -> str | None:
            return None if name == missing else str(engine.programs.folder / name)

        monkeypatch.setattr("resample.sandbox.process.shutil.which", which)

        with pytest.raises(InternalError, match=f"no {missing}: the ffmpeg layer is missing"):
            engine.convert(wav())

    @pytest.mark.parametrize(("minutes", "error"), [(60, UploadTooLarge), (0.001, TimeLimit)], ids=["fast", "slow"])
    def test_its_time_runs_out(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch, minutes: float, error: type[AudioJobError]
    ) -> None:
        """Whoever was 20 times as fast as the sound and did not end would do so again: the file is too long."""

        def encode(_task: object, progress: Any, **_: object) -> None:
            progress.reach(minutes * 60)
            time.sleep(0.02)
            raise TimeLimit

        monkeypatch.setattr(convert_module, "encode", encode)

        with pytest.raises(error):
            engine.convert(wav())


def test_aac_and_others_have_the_length_of_the_result(engine: Engine) -> None:
    """ffprobe's estimate of an ADTS file promises nothing."""
    engine.programs.stream = {**STREAM, "codec_name": "aac", "duration": "60"}

    converted = engine.convert(b"\xff\xf1" + bytes(1000), AAC)

    assert converted.source.duration_seconds == converted.result.duration_seconds == SECONDS
