"""What `make run` and `make serve` say, and the files that they write."""

from __future__ import annotations

import argparse
import os
import shlex
import stat
import subprocess
import wave
from dataclasses import fields
from pathlib import Path

import pytest

from local import demo
from local.__main__ import key_and_value, parser, within_memory
from local.console import Console
from local.emulator import most_megabytes_in_memory
from local.errors import LocalError
from local.instructions import instructions, remove_profile, write_profile
from local.sample import write_sample
from local.stack import StackAccess, write_private

PROJECT = Path(__file__).resolve().parents[3]

ACCESS = StackAccess(
    endpoint_url="http://127.0.0.1:4566",
    region="us-east-1",
    access_key_id="AKIAEXAMPLE",
    secret_access_key="a secret with 'quotes'",
    upload_bucket="uploads",
    result_bucket="results",
    jobs_table="jobs",
    api_url="http://127.0.0.1:4566/v1",
    stack_name="audio-resampler",
    functions={"ApiFunction": "api"},
    queues={"PurgeQueue": "http://127.0.0.1:4566/0/purge"},
    log_folder="/p/.local/logs",
    function_temp_folder="/t",
)

JOB = {
    "status": "ready",
    "source": {"codec": "flac", "sample_rate": 44100, "channels": 2, "duration_seconds": 185.2},
    "result": {
        "sample_rate": 32000,
        "bit_rate": 192000,
        "channels": 2,
        "duration_seconds": 185.2,
        "size_bytes": 4_444_800,
        "passthrough": False,
    },
}


def test_the_stack_file_has_the_names_that_tools_rely_on() -> None:
    names = [field.name for field in fields(StackAccess)]

    assert names[:8] == [
        "endpoint_url",
        "region",
        "access_key_id",
        "secret_access_key",
        "upload_bucket",
        "result_bucket",
        "jobs_table",
        "api_url",
    ]


def test_a_conversion_is_told_in_figures() -> None:
    assert demo.conversion(JOB) == "flac 44100 Hz stereo -> mp3 32000 Hz 192 kb/s stereo, 4.4 MB"


def test_the_last_line_tells_how_fast_it_went() -> None:
    assert demo.speed(JOB, 2.0) == ("4.4 MB, 2.0 s from the upload to the result, 3:05 of audio at 93 times real time")


@pytest.mark.parametrize("job", [{}, {"source": None, "result": None}, {"result": {"passthrough": True}}], ids=str)
def test_a_conversion_is_told_with_whatever_is_known(job: dict[str, object]) -> None:
    assert "mp3" in demo.conversion(job)
    assert demo.speed(job, 1.0) == "0 bytes, 1.0 s from the upload to the result"


@pytest.mark.parametrize(
    ("job", "sentence"),
    [
        (
            {"status": "failed", "error": {"code": "no-audio", "detail": "No sound in it"}},
            "no-audio: No sound in it",
        ),
        ({"status": "expired", "error": None}, "no-result: the job reads `expired`"),
    ],
)
def test_a_failure_gives_code_and_sentence(job: dict[str, object], sentence: str) -> None:
    assert demo.failure(job) == sentence


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(17, "17 bytes"), (4_400, "4.4 kB"), (194_444, "0.2 MB"), (28_802_348, "28.8 MB")]
)
def test_sizes_are_for_people(size_bytes: int, text: str) -> None:
    assert demo.readable_size(size_bytes) == text


@pytest.mark.parametrize(
    ("audio", "output"),
    [
        ("song.flac", "song.32k.mp3"),
        ("/music/a b.c.wav", "/music/a b.c.32k.mp3"),
        ("noext", "noext.32k.mp3"),
        (".hidden", ".hidden.32k.mp3"),
    ],
)
def test_the_result_is_saved_beside_the_input(audio: str, output: str) -> None:
    assert demo.output_path(Path(audio)) == Path(output)


def test_the_sample_is_real_audio(tmp_path: Path) -> None:
    path = write_sample(tmp_path / "deep" / "sample.wav", seconds=0.5)

    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 44100)
        assert file.getnframes() == 22050
        samples = memoryview(file.readframes(22050)).cast("h")
    assert 3000 < max(samples) < 32767
    assert abs(samples[0]) < 10


def test_instructions_can_be_copied(tmp_path: Path) -> None:
    profile = write_profile(ACCESS, tmp_path)

    page = "http://127.0.0.1:4566/v1/d/id.secret"
    text = instructions(ACCESS, tmp_path / "stack.json", profile, page, tmp_path / "sample.wav")

    assert f"source {profile}" in text
    assert ACCESS.api_url in text
    assert f"{page}\n" in text
    assert f"{tmp_path}/sample.wav\n" in text
    assert 'SECRET_ACCESS_KEY" \\\n' in text
    assert ACCESS.secret_access_key not in text
    [claim] = [line for line in (PROJECT / "README.md").read_text().splitlines() if line.startswith("curl -fL")]
    assert claim.partition("#")[0].strip().replace("$LINK", "LINK") in text


@pytest.mark.parametrize(
    "name", ["my song.wav", 'it\'s "odd" & ünï.wav', "cash$money.wav", "back`tick.wav", "-dash.wav", "50% #1.wav"]
)
def test_any_file_name_can_be_given(name: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}

    shown = subprocess.run(
        ["make", "--dry-run", "run", f"AUDIO={name}"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    module, *arguments = shlex.split(shown.splitlines()[-1])[2:]
    assert module == "local"
    assert parser().parse_args(arguments).audio == Path(name)


def test_the_profile_is_private_and_a_shell_understands_it(tmp_path: Path) -> None:
    profile = write_profile(ACCESS, tmp_path)

    shown = subprocess.run(
        ["sh", "-c", '. "$1"; printf "%s|%s" "$AWS_SECRET_ACCESS_KEY" "$API"', "sh", str(profile)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert stat.S_IMODE(profile.stat().st_mode) == 0o600
    assert shown.stdout == "a secret with 'quotes'|http://127.0.0.1:4566/v1"


def test_the_profile_goes_without_a_trace(tmp_path: Path) -> None:
    write_profile(ACCESS, tmp_path)

    remove_profile(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("available_kilobytes", "megabytes"), [(4_000_000, 1280), (1_000, 1), (24_000_000, 7680)])
def test_no_file_is_taken_that_memory_cannot_hold(available_kilobytes: int, megabytes: int) -> None:
    meminfo = f"MemTotal:       99999999 kB\nMemAvailable:   {available_kilobytes} kB\nCached: 1 kB\n"

    assert most_megabytes_in_memory(meminfo) == megabytes


def test_the_limit_is_lowered_and_said_unless_one_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("local.__main__.most_megabytes_in_memory", lambda: 700)

    assert within_memory({"LinkHours": "1"}, Console()) == {"LinkHours": "1", "MaxUploadMegabytes": "700"}
    assert "700 MB" in capsys.readouterr().out
    assert within_memory({"MaxUploadMegabytes": "2048"}, Console()) == {"MaxUploadMegabytes": "2048"}


def test_a_private_file_replaces_a_public_one(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, "new")

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_parameters_are_pairs() -> None:
    options = parser().parse_args(["serve", "--parameter", "DownloadWindowSeconds=3", "--parameter", "AlarmEmail=a=b"])

    assert dict(options.parameter) == {"DownloadWindowSeconds": "3", "AlarmEmail": "a=b"}
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=VALUE"):
        key_and_value("nonsense")


@pytest.mark.parametrize("port", ["0", "80000", "-1", "x"])
def test_a_port_is_one_that_there_is(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args(["serve", f"--port={port}"])

    assert "from 1 to 65535" in capsys.readouterr().err
    assert parser().parse_args(["serve", "--port", "8080"]).port == 8080


def test_a_result_that_could_not_be_saved_is_not_begun(tmp_path: Path) -> None:
    demo.require_place(tmp_path / "song.32k.mp3")

    with pytest.raises(LocalError, match="can't be written"):
        demo.require_place(tmp_path / "nowhere" / "song.32k.mp3")
