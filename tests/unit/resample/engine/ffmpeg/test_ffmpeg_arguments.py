"""ffmpeg's argument vectors, and what is read from ffprobe's answer."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from audiojobs.conversion import Conversion
from audiojobs.errors import CorruptAudio, NoAudio, UnsupportedFormat
from resample.engine.ffmpeg.arguments import (
    beginning_command,
    decode_command,
    encode_command,
    filter_chain,
    lame_scale,
    measure_command,
    metadata_arguments,
)
from resample.engine.ffmpeg.probe import read_answer
from resample.engine.ffmpeg.probe_result import ProbeResult
from resample.formats.containers import FLAC, MP4, OGG, RIFX, WAV

STEREO = ProbeResult("pcm_s16le", 44_100, 2, "s16", "stereo", 10.0, None)


def chain(*, wanted: Conversion | None = None, container: Any = WAV, **changes: Any) -> str:
    return filter_chain(container, replace(STEREO, **changes), wanted or Conversion(bit_rate=320_000))


def test_the_whole_command() -> None:
    command = encode_command("/opt/bin/ffmpeg", Path("/tmp/in"), WAV, STEREO, Conversion(), Path("/tmp/out.mp3"))

    assert " ".join(command) == (
        "/opt/bin/ffmpeg -hide_banner -nostdin -nostats -loglevel level+verbose -max_error_rate 1"
        " -progress pipe:1 -stats_period 0.5 -threads 1 -max_size 65536 -max_probe_packets 1"
        " -protocol_whitelist file,pipe -format_whitelist wav -f wav -i file:/tmp/in"
        " -map 0:a:0 -filter:a"
        " aresample=32000:resampler=soxr:precision=28:out_sample_fmt=fltp:out_chlayout=stereo"
        ",volume=1.030927835:precision=float"
        " -map_metadata:g -1 -map_chapters 0 -id3v2_version 3"
        " -codec:a libmp3lame -b:a 192000"
        " -f mp3 -y file:/tmp/out.mp3"
    )


def arguments_of(words: list[str], *names: str) -> list[list[str]]:
    """What follows each of these options."""
    return [[word for option, word in pairwise(words) if option == name] for name in names]


def test_parallel_encoding_gets_floats_through_a_pipe_and_the_head_from_half_a_second() -> None:
    loud = Conversion(bit_rate=320_000)

    words = decode_command("ffmpeg", None, WAV, STEREO, loud, pcm=7, head=Path("/tmp/head.mp3"))

    assert " ".join(words) == (
        "ffmpeg -hide_banner -nostdin -nostats -loglevel level+verbose -max_error_rate 1"
        " -threads 1 -max_size 65536 -max_probe_packets 1"
        " -protocol_whitelist file,pipe -format_whitelist wav -f wav -i pipe:0"
        f" -map 0:a:0 -filter:a {chain()} -codec:a pcm_f32le -f f32le pipe:7"
        f" -map 0:a:0 -filter:a {chain()} -t 0.5 -flush_packets 1"
        " -map_metadata:g -1 -map_chapters 0 -id3v2_version 3 -codec:a libmp3lame -b:a 320000"
        " -f mp3 -y file:/tmp/head.mp3"
    )


CLIPPED = "volume=0.25:precision=float,aformat=sample_fmts=s32p"
STATISTICS = "measure_perchannel=none:measure_overall=Peak_level+RMS_level"


@pytest.mark.parametrize(
    ("sample_format", "sample_gain", "before"),
    [
        ("s16", 1, "aformat=sample_fmts=fltp,volume=1.000000000:precision=float"),
        ("s32", 256, "aformat=sample_fmts=fltp,volume=256.000000000:precision=float"),
        (
            "fltp",
            1,
            f"{CLIPPED},aformat=sample_fmts=fltp,volume=4.000000000:precision=float",
        ),
    ],
    ids=["whole numbers", "at the lower end", "floats"],
)
def test_a_mix_is_measured_as_it_is_made(sample_format: str, sample_gain: int, before: str) -> None:
    """At its own level, whatever the samples are, and turned down by nothing."""
    surround = replace(
        STEREO, channels=6, channel_layout="5.1", sample_format=sample_format, sample_gain=sample_gain, codec="flac"
    )

    words = measure_command("ffmpeg", Path("/x"), FLAC, surround, Conversion())

    assert " ".join(words[:8]) == "ffmpeg -hide_banner -nostdin -nostats -loglevel level+info -max_error_rate 1"
    mix = "aresample=out_sample_fmt=fltp:out_chlayout=stereo:rematrix_maxval=1000"
    filters = f"{before},astats@before={STATISTICS},{mix},astats@after={STATISTICS}"
    assert arguments_of(words, "-map", "-filter:a", "-f", "-threads") == [
        ["0:a:0"],
        [filters],
        ["flac", "null"],
        ["1"],
    ]


def test_a_mix_of_unknown_loudspeakers_is_measured_behind_it() -> None:
    words = measure_command("ffmpeg", Path("/x"), FLAC, STEREO, Conversion(channels=1))

    ((filters,),) = arguments_of(words, "-filter:a")
    assert "pan=mono|c0=0.5*c0+0.5*c1,aresample=out_sample_fmt=fltp:out_chlayout=mono,astats@after" in filters


def test_a_beginning_is_decoded_bit_by_bit() -> None:
    words = beginning_command("ffmpeg", Path("/x"), FLAC, replace(STEREO, codec="flac"), seconds=1.5)

    assert " ".join(words).endswith(" -i file:/x -map 0:a:0 -t 1.5 -codec:a pcm_s32le -f s32le pipe:1")
    assert "-filter:a" not in words


@pytest.mark.parametrize(("stream_index", "track"), [(None, "0:a:0"), (0, "0:0"), (3, "0:3")])
def test_the_chosen_track_is_converted(stream_index: int | None, track: str) -> None:
    probed = replace(STEREO, stream_index=stream_index)

    for words in (
        encode_command("f", Path("/x"), MP4, probed, Conversion(), Path("/y")),
        measure_command("f", Path("/x"), MP4, probed, Conversion()),
        beginning_command("f", Path("/x"), MP4, probed, seconds=1.0),
    ):
        assert arguments_of(words, "-map") == [[track]]


def test_a_size_that_is_stale_is_not_believed() -> None:
    stale = encode_command("f", Path("/x"), WAV, replace(STEREO, is_size_stale=True), Conversion(), Path("/y"))

    at = stale.index("-ignore_length")
    assert stale[at + 1] == "1"
    assert at < stale.index("-i")
    assert "-ignore_length" not in encode_command("f", Path("/x"), WAV, STEREO, Conversion(), Path("/y"))


@pytest.mark.parametrize(
    ("changes", "wanted", "gain"),
    [
        ({"mix_gain": 0.5}, Conversion(bit_rate=320_000), "0.500000000"),
        ({"sample_gain": 256}, Conversion(bit_rate=320_000), "256.000000000"),
        ({"mix_gain": 0.5, "sample_gain": 256}, Conversion(bit_rate=320_000), "128.000000000"),
        ({"mix_gain": 0.5, "sample_format": "fltp"}, Conversion(bit_rate=320_000), "2.000000000"),
        ({"mix_gain": 0.5}, Conversion(), f"{0.5 / 0.97:.9f}"),
        ({"mix_gain": 0.25, "sample_format": "fltp"}, Conversion(bit_rate=320_000), None),
    ],
    ids=["a loud mix", "low samples", "both", "floats", "of LAME", "as it is"],
)
def test_all_gains_are_one(changes: dict[str, Any], wanted: Conversion, gain: str | None) -> None:
    filters = chain(wanted=wanted, **changes).split(",")

    volumes = [found for found in filters if found.startswith("volume=") and found != "volume=0.25:precision=float"]
    assert volumes == ([f"volume={gain}:precision=float"] if gain else [])


def test_mono_tracks_of_one_recording_are_merged_before_they_are_converted() -> None:
    probed = replace(STEREO, mono_tracks=(1, 3), channel_layout=None)

    words = encode_command("ffmpeg", Path("/x"), WAV, probed, Conversion(channels=2), Path("/y"))

    graph = words[words.index("-filter_complex") + 1]
    alike = "aformat=sample_fmts=flt:channel_layouts=mono"
    assert graph.startswith(f"[0:1]{alike}[encoded1];[0:3]{alike}[encoded3];[encoded1][encoded3]amerge=inputs=2,")
    assert graph.endswith("[encoded]")
    assert words[words.index("-filter_complex") + 2 :][:2] == ["-map", "[encoded]"]
    assert "-filter:a" not in words


@pytest.mark.parametrize(("container", "codec"), [(WAV, "dts"), (FLAC, "flac"), (MP4, "pcm_s16le")])
def test_only_what_the_probe_took_for_pcm_in_a_wav_is_not_looked_at_again(container: Any, codec: str) -> None:
    probed = replace(STEREO, codec=codec)

    command = encode_command("ffmpeg", None, container, probed, Conversion(), Path("/tmp/out.mp3"))

    assert "-max_probe_packets" not in command


def test_what_limits_the_input_stands_before_it() -> None:
    for container in (WAV, FLAC, MP4):
        command = encode_command("ffmpeg", Path("/x"), container, STEREO, Conversion(), Path("/y"))
        before = command[: command.index("-i")]
        assert before[before.index("-f") + 1] == container.demuxer
        assert before[before.index("-format_whitelist") + 1] == container.demuxer
        assert before[before.index("-protocol_whitelist") + 1] == "file,pipe"


def test_a_forced_decoder_stands_before_the_input() -> None:
    probed = replace(STEREO, decoder="pcm_s16be")
    command = encode_command("ffmpeg", Path("/x"), RIFX, probed, Conversion(), Path("/y"))

    assert command.index("pcm_s16be") < command.index("-i")


def test_cover() -> None:
    command = encode_command("f", Path("/x"), FLAC, replace(STEREO, cover_index=3), Conversion(), Path("/y"))

    at = command.index("0:3")
    assert command[at - 1 : at + 5] == ["-map", "0:3", "-codec:v", "copy", "-disposition:v:0", "attached_pic"]


@pytest.mark.parametrize("sample_format", ["u8", "s16", "s16p", "s32", "s32p", "s64"])
def test_whole_numbers_go_straight_into_the_resampler(sample_format: str) -> None:
    assert (
        chain(sample_format=sample_format)
        == "aresample=32000:resampler=soxr:precision=28:out_sample_fmt=fltp:out_chlayout=stereo"
    )


@pytest.mark.parametrize("sample_format", ["flt", "fltp", "dbl", "dblp", "unknown"])
def test_anything_else_is_limited_first(sample_format: str) -> None:
    assert chain(sample_format=sample_format) == (
        "volume=0.25:precision=float,aformat=sample_fmts=s32p,"
        "aresample=32000:resampler=soxr:precision=28:out_sample_fmt=fltp:out_chlayout=stereo,volume=4.000000000:precision=float"
    )


def test_gaps_are_filled_in_mp4_only_and_before_the_resampler() -> None:
    assert ",aresample=async=1:first_pts=0,aresample=32000:resampler=soxr" in chain(container=MP4)
    assert "async" not in chain(container=OGG)


def test_at_most_ten_minutes_of_a_gap_are_filled() -> None:
    held_back = r"asetpts=if(gt(PTS*TB\,N/SR+600)\,(N/SR+600)/TB\,PTS)"

    assert f"{held_back},aresample=async=1" in chain(container=MP4)


@pytest.mark.parametrize(
    ("channels", "layout", "wanted", "contained"),
    [
        (1, "mono", None, ""),
        (2, "stereo", None, ""),
        (2, None, None, ""),
        (1, "mono", 2, "pan=stereo|c0=c0|c1=c0"),
        (2, "stereo", 1, "pan=mono|c0=0.5*c0+0.5*c1"),
        (1, "1 channels (FL)", None, "pan=mono|c0=c0"),
        (2, "2 channels (SL+SR)", None, "pan=stereo|c0=c0+1e-20*c1|c1=c1+1e-20*c0"),
        (6, "5.1", None, ":out_chlayout=stereo:rematrix_maxval=1000"),
        (6, "5.1(side)", 1, ":out_chlayout=mono:rematrix_maxval=1000"),
        (6, None, None, ":out_chlayout=stereo:rematrix_maxval=1000"),
        (3, "3 channels (FL+FR+LFE)", None, "pan=stereo|c0<c0+c2|c1<c1"),
        (9, None, None, "pan=stereo|c0<c0+c2+c4+c6+c8|c1<c1+c3+c5+c7"),
        (16, "hexadecagonal", 1, "pan=mono|c0<c0+c1+c2+c3+c4+c5+c6+c7+c8+c9+c10+c11+c12+c13+c14+c15"),
    ],
)
def test_mixing(channels: int, layout: str | None, wanted: int | None, contained: str) -> None:
    filters = chain(wanted=Conversion(channels=wanted), channels=channels, channel_layout=layout)

    assert contained in filters
    assert contained or ("pan" not in filters and "rematrix" not in filters)


@pytest.mark.parametrize(
    ("conversion", "scale"),
    [
        (Conversion(bit_rate=32_000), 0.95),
        (Conversion(bit_rate=160_000), 0.95),
        (Conversion(), 0.97),
        (Conversion(bit_rate=224_000), 0.98),
        (Conversion(bit_rate=256_000), 1.0),
        (Conversion(vbr_quality=2), 1.0),
        (Conversion(sample_rate=8000), 0.95),
    ],
    ids=str,
)
def test_what_lame_takes_away_is_given_back(conversion: Conversion, scale: float) -> None:
    assert lame_scale(conversion) == scale
    assert ("volume" in chain(wanted=conversion)) == (scale != 1)


def test_vbr() -> None:
    command = encode_command("f", Path("/x"), WAV, STEREO, Conversion(vbr_quality=0), Path("/y"))

    assert command[command.index("-q:a") + 1] == "0"
    assert "-b:a" not in command


def test_no_tag_travels_by_itself_and_there_is_room_for_those_that_are_kept() -> None:
    words = metadata_arguments(replace(STEREO, tag_bytes=600))

    assert words[:2] == ["-map_metadata:g", "-1"]
    assert words[-2:] == ["-metadata_header_padding", "600"]


AUDIO = {
    "index": 1,
    "codec_type": "audio",
    "codec_name": "aac",
    "sample_fmt": "fltp",
    "sample_rate": "44100",
    "channels": 2,
    "channel_layout": "stereo",
    "duration": "3.5",
    "disposition": {"attached_pic": 0},
}
COVER = {
    "index": 0,
    "codec_type": "video",
    "codec_name": "mjpeg",
    "width": 10,
    "height": 10,
    "disposition": {"attached_pic": 1},
}


def test_the_first_audio_stream_and_the_cover() -> None:
    answer = {"streams": [COVER, AUDIO, {**AUDIO, "index": 2, "channels": 6}], "format": {"duration": "4.0"}}

    probed = read_answer(answer, MP4)

    assert replace(probed, warnings=()) == ProbeResult("aac", 44_100, 2, "fltp", "stereo", 3.5, 0)
    assert [warning.code for warning in probed.warnings] == ["one-of-several-tracks"]


@pytest.mark.parametrize(
    "change", [{"disposition": {"attached_pic": 0}}, {"codec_name": "h264"}, {"width": 0}], ids=str
)
def test_what_is_no_cover(change: dict[str, Any]) -> None:
    assert read_answer({"streams": [{**COVER, **change}, AUDIO]}, MP4).cover_index is None


@pytest.mark.parametrize("layout", [None, "", "unknown"])
def test_an_unknown_layout(layout: str | None) -> None:
    assert read_answer({"streams": [{**AUDIO, "channel_layout": layout}]}, MP4).channel_layout is None


@pytest.mark.parametrize("duration", [None, "N/A", "0", "-1", "nan", "inf", "1e30"])
def test_a_duration_that_is_none(duration: str | None) -> None:
    assert read_answer({"streams": [{**AUDIO, "duration": duration}]}, MP4).duration_seconds is None


def test_big_endian_samples() -> None:
    probed = read_answer({"streams": [{**AUDIO, "codec_name": "pcm_s24le"}]}, RIFX)

    assert (probed.codec, probed.decoder) == ("pcm_s24be", "pcm_s24be")
    assert read_answer({"streams": [{**AUDIO, "codec_name": "pcm_u8"}]}, RIFX).decoder is None


@pytest.mark.parametrize(
    ("streams", "error"),
    [
        ([], NoAudio),
        ([{**COVER, "disposition": {}}], NoAudio),
        ([{**AUDIO, "codec_name": "cook"}], UnsupportedFormat),
        ([{**AUDIO, "codec_name": "pcm_s16le; rm"}], UnsupportedFormat),
        ([{key: value for key, value in AUDIO.items() if key != "codec_name"}], UnsupportedFormat),
        ([{**AUDIO, "sample_rate": "0"}], CorruptAudio),
        ([{**AUDIO, "sample_rate": "-5"}], CorruptAudio),
        ([{**AUDIO, "channels": 0}], CorruptAudio),
        ([{**AUDIO, "sample_rate": "999"}], UnsupportedFormat),
        ([{**AUDIO, "sample_rate": "3072001"}], UnsupportedFormat),
        ([{**AUDIO, "channels": 65}], UnsupportedFormat),
    ],
)
def test_what_is_not_taken(streams: list[dict[str, Any]], error: type[Exception]) -> None:
    with pytest.raises(error):
        read_answer({"streams": streams}, MP4)
