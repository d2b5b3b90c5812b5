"""``python -m resample.engine``: the engine without any AWS."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resample.engine import __main__ as command
from tests.unit.resample.engine.conftest import Programs
from tests.unit.resample.engine.test_convert import SECONDS, wav, written
from tests.unit.resample.formats.test_passthrough import stream


@pytest.fixture
def source(programs: Programs, tmp_path: Path) -> Path:
    programs.mp3 = written()
    programs.install()
    source = tmp_path / "in.wav"
    source.write_bytes(wav())
    return source


def test_a_file_is_converted_and_described(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert command.main(["in.wav", "out.mp3"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert (report["outcome"], report["passthrough"], report["warnings"]) == ("ready", False, [])
    assert (report["source"]["container"], report["source"]["duration_seconds"]) == ("wav", SECONDS)
    assert (report["result"]["sample_rate"], report["result"]["bit_rate"]) == (32_000, 192_000)
    assert (tmp_path / "out.mp3").read_bytes() == written()


def test_what_is_right_already_is_copied(
    programs: Programs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, destination = tmp_path / "in.mp3", tmp_path / "out.mp3"
    source.write_bytes(stream(10))

    assert command.main([str(source), str(destination)]) == 0

    report = json.loads(capsys.readouterr().out)
    assert (report["outcome"], report["passthrough"], report["warnings"]) == ("ready", True, [])
    assert destination.read_bytes() == source.read_bytes()
    assert programs.calls("ffmpeg") == []


def test_a_file_that_cannot_be_converted_is_told_as_json(
    programs: Programs, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_bytes(wav()[:-1000])

    assert command.main([str(source), str(tmp_path / "out.mp3")]) == 1

    report = json.loads(capsys.readouterr().out)
    assert (report["outcome"], report["error"]["code"]) == ("failed", "truncated-audio")
    assert not (tmp_path / "out.mp3").exists()


def test_options_are_those_of_a_job(
    programs: Programs, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--sample-rate", "44100", "--vbr-quality", "3", "--channels", "1", "--encoders", "2"]

    command.main([str(source), str(tmp_path / "out.mp3"), *options])

    encoding = programs.calls("ffmpeg")[-1]  # behind one that measures the mix
    assert "aresample=44100" in encoding
    assert "-q:a 3" in encoding
    source.write_bytes(wav()[:-1000])
    assert command.main([str(source), str(tmp_path / "out.mp3"), "--allow-partial"]) == 0
    warnings = json.loads(capsys.readouterr().out.splitlines()[-1])["warnings"]
    assert [warning["code"] for warning in warnings] == ["truncated-audio"]


@pytest.mark.parametrize("options", [["--sample-rate", "1"], ["--vbr-quality", "10"], ["--bit-rate", "1"]], ids=str)
def test_an_option_that_mp3_does_not_have_is_told(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert command.main([str(source), str(tmp_path / "out.mp3"), *options]) == 1

    assert json.loads(capsys.readouterr().out)["error"]["code"] == "invalid-request"


@pytest.mark.parametrize(
    "arguments",
    [[], ["in.wav"], ["none.wav", "out.mp3"], ["in.wav", "out.mp3", "--bit-rate", "64000", "--vbr-quality", "1"]],
    ids=str,
)
def test_a_wrong_command_line(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        command.main(arguments)

    assert ended.value.code == 2
