"""What was asked for is what comes out, by either way of asking."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import sounds
from tests.e2e.figures import decode, mpeg_headers
from tests.e2e.service import Service

SECONDS = 2


@pytest.fixture(scope="module")
def song(files: Path) -> Path:
    return sounds.song(files / "options.wav", seconds=SECONDS)


def probed(service: Service, path: Path) -> dict[str, Any]:
    command = [str(service.programs / "ffprobe"), "-loglevel", "error", "-show_streams", "-of", "json", str(path)]
    streams = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]
    return {name: streams[0][name] for name in ("codec_name", "sample_rate", "channels")}


@pytest.mark.parametrize("through_api", [True, False], ids=["api", "direct"])
@pytest.mark.parametrize(
    ("options", "sample_rate", "channels", "bit_rate"),
    [
        pytest.param({"bit_rate": 96_000}, 32_000, 2, 96_000, id="bit_rate"),
        pytest.param({"channels": 1, "bit_rate": 64_000}, 32_000, 1, 64_000, id="mono"),
        pytest.param({"sample_rate": 48_000}, 48_000, 2, 192_000, id="48 kHz"),
        pytest.param({"sample_rate": 16_000}, 16_000, 2, 160_000, id="16 kHz"),
        pytest.param({"vbr_quality": 9}, 32_000, 2, None, id="vbr"),
    ],
)
def test_an_option_is_honoured(
    service: Service,
    song: Path,
    tmp_path: Path,
    through_api: bool,
    options: dict[str, int],
    sample_rate: int,
    channels: int,
    bit_rate: int | None,
) -> None:
    if through_api:
        created = service.create_job("song.wav", **options)
        service.send(created, song)
        job, link = service.ready(created["id"]), created["link"]
    else:
        key = f"options/{sample_rate}-{channels}-{bit_rate}.wav"
        metadata = {name.replace("_", "-"): str(value) for name, value in options.items()}
        job = service.put(key, song, **metadata)
        link = service.event_of(job["id"])["detail"]["link"]

    result = service.fetch(link, tmp_path / "result.mp3")

    assert probed(service, result) == {"codec_name": "mp3", "sample_rate": str(sample_rate), "channels": channels}
    assert (job["result"]["sample_rate"], job["result"]["channels"]) == (sample_rate, channels)
    assert decode(service.programs, result, sample_rate, channels).seconds == pytest.approx(SECONDS, abs=0.001)
    if bit_rate is None:
        assert len({header.bit_rate for header in mpeg_headers(result.read_bytes())}) > 1
        assert job["result"]["bit_rate"] < 96_000
    else:
        assert job["result"]["bit_rate"] == bit_rate
        assert 8 * result.stat().st_size / SECONDS == pytest.approx(bit_rate, rel=0.1)


def test_options_given_to_the_aws_cli(service: Service, song: Path) -> None:
    key = "options/cli.wav"

    service.aws("s3", "cp", song, f"s3://{service.uploads}/{key}", "--metadata", "bit-rate=128000,channels=1")
    [job] = service.appeared(key)

    assert (job["result"]["bit_rate"], job["result"]["channels"]) == (128_000, 1)
    service.delete(job["id"])


def test_the_download_is_named_after_the_sample_rate(service: Service, song: Path) -> None:
    created = service.create_job("Größe.wav", sample_rate=44_100)
    service.send(created, song)
    service.ready(created["id"])

    answer = service.request("GET", service.claim(created["link"]))

    assert answer.headers["Content-Disposition"] == (
        f"attachment; filename=\"{created['id'][:8]}-Gr__e.44.1k.mp3\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe.44.1k.mp3"
    )
