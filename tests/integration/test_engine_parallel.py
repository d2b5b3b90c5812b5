"""The engine with several encoders: the same MP3 as with one, to the byte."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiojobs.errors import TruncatedAudio
from resample.engine import encode
from resample.engine.parallel import ParallelEncodingFailed
from resample.formats.containers import id3v2_bytes
from resample.formats.mpeg_frames import crc16, iterate_mpeg_frames, parse_info_tag
from resample.sandbox.process import executable
from tests.audio import broken, synth
from tests.audio.measure import streams, tags
from tests.audio.programs import run_full_ffmpeg
from tests.integration.converting import run_engine

SECONDS = 75
MUSIC = (
    "aevalsrc=exprs='0.4*sin(2*PI*t*(220+40*floor(mod(t*3,8))))*exp(-3*mod(t,0.33))+0.02*(random(0)-0.5)"
    "|0.4*sin(2*PI*t*(330+30*floor(mod(t*2,5))))*exp(-2*mod(t,0.5))+0.02*(random(1)-0.5)':s=44100"
)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("music") / "music.wav"
    run_full_ffmpeg("-f", "lavfi", "-i", MUSIC, "-t", str(SECONDS), path)
    return path


@pytest.mark.parametrize("encoders", [1, 2])
def test_the_checksums_of_the_info_tag_are_right(music: Path, encoders: int) -> None:
    content = run_engine(music, encoders=encoders).mp3.read_bytes()

    first = next(iterate_mpeg_frames(content, id3v2_bytes(content)))
    info = parse_info_tag(content, first)
    assert info is not None
    assert info.lame is not None
    assert info.lame.tag_crc_is_valid
    assert info.lame.music_crc == crc16(content[first.end :])


@pytest.mark.parametrize(
    ("suffix", "wishes"),
    [
        pytest.param(".wav", {}, id="wav-192k"),
        pytest.param(".wav", {"bit_rate": 64_000, "channels": 1}, id="wav-64k-mono"),
        pytest.param(".wav", {"vbr_quality": 2}, id="wav-v2"),
        pytest.param(".mp3", {"bit_rate": 128_000}, id="mp3-128k"),
        pytest.param(".flac", {"sample_rate": 24_000, "bit_rate": 64_000}, id="flac-24khz"),
        pytest.param(".wav", {"sample_rate": 44_100, "bit_rate": 128_000}, id="wav-44.1khz"),
        pytest.param(".m4a", {"bit_rate": 320_000}, id="m4a-320k"),
    ],
)
def test_any_number_of_encoders_writes_the_same_bytes(
    music: Path, tmp_path: Path, suffix: str, wishes: dict[str, Any]
) -> None:
    source = tmp_path / f"music{suffix}"
    cover = synth.png(tmp_path / "cover.png")
    picture = () if suffix == ".wav" else ("-i", cover, "-map", "0", "-map", "1", "-c:v", "copy")
    disposition = ("-disposition:v", "attached_pic") if picture else ()
    run_full_ffmpeg("-i", music, *picture, *disposition, "-metadata", "title=Both ways", source)

    one = run_engine(source, **wishes)
    assert tags(one.mp3)["title"] == "Both ways"
    assert len(streams(one.mp3, "video")) == (1 if picture else 0)
    for encoders in (2, 3, 6):
        more = run_engine(source, encoders=encoders, **wishes)
        assert more.converted == one.converted
        assert more.mp3.read_bytes() == one.mp3.read_bytes()


def test_progress_grows_with_two_encoders(music: Path) -> None:
    run = run_engine(music, encoders=2)

    assert run.progress == sorted(run.progress)
    assert all(0 < fraction <= 1 for fraction in run.progress)


def test_what_several_encoders_do_not_understand_is_encoded_by_one(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ParallelEncodingFailed("on purpose")

    monkeypatch.setattr(encode, "encode_in_parallel", fail)

    run = run_engine(music, encoders=2)

    assert run.converted.is_fallback
    assert run.converted.result.duration_seconds == SECONDS


def test_an_encoder_that_writes_something_else_is_replaced_by_the_one_that_does_not(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run_engine(music)
    program = tmp_path / "bin" / encode.PARALLEL_ENCODER
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    two = run_engine(music, encoders=2)

    assert two.converted == replace(one.converted, is_fallback=True)
    assert two.mp3.read_bytes() == one.mp3.read_bytes()


def test_a_layer_without_our_encoder_takes_one_encoder_and_that_is_no_failure(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = run_engine(music)
    for program in ("ffmpeg", "ffprobe"):
        (tmp_path / program).symlink_to(executable(program))
    monkeypatch.setenv("PATH", str(tmp_path))

    two = run_engine(music, encoders=2)

    assert two.converted == one.converted
    assert not two.converted.is_fallback
    assert two.mp3.read_bytes() == one.mp3.read_bytes()
    assert not caplog.records


def test_a_truncated_file_is_found_with_two_encoders_too(music: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.flac"
    run_full_ffmpeg("-i", music, whole)
    half = broken.truncated(tmp_path / "half.flac", whole)

    with pytest.raises(TruncatedAudio):
        run_engine(half, encoders=2)


def test_the_tags_are_there_long_before_the_end(tmp_path: Path) -> None:
    source = tmp_path / "long.wav"
    run_full_ffmpeg("-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono", "-t", "330", source)

    run = run_engine(source, encoders=2, bit_rate=32_000)

    assert not run.converted.is_fallback
    assert run.converted.result.duration_seconds == 330
