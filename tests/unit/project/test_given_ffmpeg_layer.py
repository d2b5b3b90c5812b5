"""A layer that was built before is taken on any machine: no apt, no compiler, no root."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
ELF_MACHINES = {"x86_64": 62, "arm64": 183}


def write_layer(path: Path, architecture: str, names: tuple[str, ...] = ("ffmpeg", "ffprobe", "lame-frames")) -> Path:
    """A zip file with programs that have nothing but the head of an ELF file."""
    head = b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + ELF_MACHINES[architecture].to_bytes(2, "little")
    with zipfile.ZipFile(path, "w") as layer:
        for name in names:
            layer.writestr(f"bin/{name}", head)
        layer.writestr("share/ffmpeg-layer/versions.txt", f"arch {architecture}\n")
    return path


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A PATH that has make's shell, and no apt and no compiler."""
    folder = tmp_path / "path"
    folder.mkdir()
    for name in ("sh", "mkdir"):
        (folder / name).symlink_to(f"/bin/{name}")
    return folder


def build(processor_or_given: str, destination: Path, path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """As SAM runs the makefile."""
    return subprocess.run(
        [shutil.which("make") or "make", "-f", f"{processor_or_given}/Makefile", "build-FfmpegLayer"],
        cwd=PROJECT / "layers" / "ffmpeg",
        env={"PATH": str(path), "ARTIFACTS_DIR": str(destination), "PYTHON": sys.executable, "HOME": "/nowhere"}
        | variables,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("architecture", ELF_MACHINES)
def test_a_zip_file_becomes_the_layer(tmp_path: Path, bare_path: Path, architecture: str) -> None:
    layer = write_layer(tmp_path / "layer.zip", architecture)

    done = build(architecture, tmp_path / "opt", bare_path, FFMPEG_LAYER_ZIP=str(layer))

    assert done.returncode == 0, done.stderr
    programs = sorted((tmp_path / "opt" / "bin").iterdir())
    assert [program.name for program in programs] == ["ffmpeg", "ffprobe", "lame-frames"]
    assert all(program.stat().st_mode & 0o111 == 0o111 for program in programs)
    assert (tmp_path / "opt/share/ffmpeg-layer/versions.txt").is_file()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("other processor", "not for arm64"),
        ("no ffprobe", "it has no bin/ffprobe"),
        ("no zip file", "can't be unpacked"),
        ("nothing", "can't be unpacked"),
    ],
)
def test_what_is_no_layer_for_the_stack_is_refused(
    tmp_path: Path, bare_path: Path, content: str, complaint: str
) -> None:
    layer = tmp_path / "layer.zip"
    if content == "other processor":
        write_layer(layer, "x86_64")
    elif content == "no ffprobe":
        write_layer(layer, "arm64", ("ffmpeg",))
    elif content == "no zip file":
        layer.write_text("Not found\n")

    done = build("arm64", tmp_path / "opt", bare_path, FFMPEG_LAYER_ZIP=str(layer))

    assert done.returncode != 0
    assert complaint in done.stderr


def test_without_apt_the_ways_out_are_named(tmp_path: Path, bare_path: Path) -> None:
    done = build("x86_64", tmp_path / "opt", bare_path, XDG_CACHE_HOME=str(tmp_path / "empty"))

    assert done.returncode != 0
    assert "there is no apt here" in done.stderr
    assert "make deploy LAYER=" in done.stderr


def test_for_a_layer_that_an_arn_names_nothing_is_built(tmp_path: Path, bare_path: Path) -> None:
    done = build("given", tmp_path / "opt", bare_path)

    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "opt").iterdir()] == ["README"]
