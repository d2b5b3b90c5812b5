"""Deploying where there is no apt, no compiler and no root: with a layer that was built before, and from a release."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local.stack import PROJECT, EmbeddedAws
from operate import release
from tests.audio import synth
from tests.runtime.artefacts import SAM_BUILDS
from tests.runtime.test_sam_deploy import Deployer

# What a machine without a Debian has as well; the builds need no more.
PROGRAMS = [
    "awk",
    "basename",
    "bash",
    "cat",
    "chmod",
    "cp",
    "dirname",
    "env",
    "expr",
    "find",
    "getconf",
    "grep",
    "make",
    "mkdir",
    "rm",
    "sed",
    "sh",
    "tar",
    "touch",
    "uname",
]
NOT_THERE = ("apt-get", "gcc", "cc", "dpkg-source", "nasm", "cmake")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with these programs alone, a Python that has pip, and an `id` that says we are not root."""
    folder = tmp_path_factory.mktemp("path")
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    scripts = {"id": "echo 1000", "python3": f'exec "{PROJECT}/.venv-sam/bin/python" "$@"'}
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    assert not any(shutil.which(name, path=str(folder)) for name in NOT_THERE)
    return str(folder)


@pytest.fixture
def deployer(stack: EmbeddedAws, tmp_path: Path, path: str) -> Deployer:
    deployer = Deployer(stack, tmp_path)
    keys = deployer.aws.variables
    deployer.environment |= {
        "PATH": path,
        "XDG_CACHE_HOME": str(tmp_path / "empty"),
        "AWS_ACCESS_KEY_ID": keys["AWS_ACCESS_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": keys["AWS_SECRET_ACCESS_KEY"],
        "AWS_DEFAULT_REGION": deployer.aws.region,
    }
    return deployer


def layer_of(deployer: Deployer, stack_name: str) -> list[str]:
    """The layers of the stack's resampling function."""
    functions = deployer.aws.client("lambda").list_functions()["Functions"]
    [found] = [item for item in functions if item["FunctionName"].startswith(f"{stack_name}-ResampleFunction")]
    return [layer["Arn"] for layer in found["Layers"]]


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    release.main([str(folder), *(f"{architecture}={build}" for architecture, build in SAM_BUILDS.items())])
    return folder


def test_a_layer_that_was_built_before_is_deployed(deployer: Deployer, released: Path) -> None:
    shutil.copy(released / "ffmpeg-layer-x86_64.zip", deployer.project)

    deployer.types(
        "make deploy LAYER=ffmpeg-layer-x86_64.zip",
        ("Name of the stack", "given"),
        ("Region", deployer.aws.region),
        ("Processor", "x86_64"),
        ("Hours that a result waits", ""),
        ("Address that alarms are mailed to", ""),
        ("Deploy this changeset?", "y"),
    )

    assert any(":layer:given-ffmpeg:" in arn for arn in layer_of(deployer, "given"))
    built = deployer.project / ".aws-sam" / "build" / "FfmpegLayer" / "bin"
    for program in ("ffmpeg", "ffprobe", "lame-frames"):
        assert (built / program).read_bytes() == (SAM_BUILDS["x86_64"] / "FfmpegLayer/bin" / program).read_bytes()


def test_a_layer_that_an_arn_names_is_used_and_nothing_is_compiled(deployer: Deployer, path: str) -> None:
    service = deployer.aws.client("lambda")
    layer = service.publish_layer_version(
        LayerName="own-ffmpeg", Content={"ZipFile": _zipped(deployer.project / "own.zip")}
    )["LayerVersionArn"]
    samconfig = deployer.project / "samconfig.toml"
    samconfig.write_text(
        samconfig.read_text().replace(
            'stack_name = "audio-resampler"',
            f'stack_name = "named"\nparameter_overrides = ["FfmpegLayerArn={layer}"]',
        )
    )

    deployer.types(
        f"{PROJECT / '.venv-sam/bin/sam'} build && {PROJECT / '.venv-sam/bin/sam'} deploy --no-confirm-changeset"
    )

    assert layer in layer_of(deployer, "named")
    assert not any(":layer:named-ffmpeg:" in arn for arn in layer_of(deployer, "named"))


def test_a_release_is_deployed_without_a_build(deployer: Deployer, released: Path) -> None:
    folder = deployer.project / "unpacked"
    with zipfile.ZipFile(released / "audio-resampler-x86_64.zip") as archive:
        archive.extractall(folder)

    deployer.types(
        f"cd unpacked && {PROJECT / '.venv-sam/bin/sam'} deploy --stack-name released --no-confirm-changeset"
    )

    assert any(":layer:released-ffmpeg:" in arn for arn in layer_of(deployer, "released"))
    assert not (folder / ".aws-sam").exists()


def test_a_release_holds_what_its_sums_name_and_converts_a_file(released: Path, tmp_path: Path) -> None:
    rows = [line.split("  ") for line in (released / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in rows}
    song = synth.write(tmp_path / "song.wav", seconds=2)
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(released / "audio-resampler-x86_64.zip") as archive:
        for entry in archive.infolist():
            archive.extract(entry, unpacked)
            (unpacked / entry.filename).chmod(entry.external_attr >> 16)  # as `unzip` does

    converted = subprocess.run(
        [sys.executable, "-m", "local", "run", str(song), "--sam-build", str(unpacked)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert set(sums) == {path.name for path in released.iterdir()} - {"SHA256SUMS"}
    assert all(hashlib.sha256((released / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    assert converted.returncode == 0, converted.stdout + converted.stderr
    assert "-> mp3 32000 Hz" in converted.stdout
    assert (tmp_path / "song.32k.mp3").stat().st_size > 10_000


def _zipped(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as content:
        content.writestr("bin/ffmpeg", "")
    return path.read_bytes()
