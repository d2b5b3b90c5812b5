"""Two kinds of ffmpeg: the layer's, which is tested, and a full one that makes test audio (the layer only has LAME)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

LAYER = Path(__file__).resolve().parents[2] / "layers" / "ffmpeg"

_ENCODERS = ("flac", "libvorbis", "libopus", "aac", "alac", "mp2", "adpcm_ms", "libmp3lame")


@cache
def full_ffmpeg() -> str:
    """An ffmpeg with all encoders that the tests need: from PATH, or the one in the package imageio-ffmpeg.

    Raises :class:`RuntimeError` if there is none.
    """
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    candidates = [path for folder in folders if (path := shutil.which("ffmpeg", path=folder))]
    for path in [*dict.fromkeys(candidates), *_packaged()]:
        listing = subprocess.run(
            [path, "-hide_banner", "-encoders"], capture_output=True, text=True, check=False
        ).stdout
        if set(_ENCODERS) <= set(listing.split()):
            return path
    raise RuntimeError("the tests need a full ffmpeg: install Debian's ffmpeg or the Python package imageio-ffmpeg")


def _packaged() -> list[str]:
    try:
        import imageio_ffmpeg
    except ImportError:
        return []
    return [imageio_ffmpeg.get_ffmpeg_exe()]


def run_full_ffmpeg(*arguments: str | Path, stdin: bytes | None = None) -> bytes:
    """Run it, quietly, overwriting; returns stdout. Raises with ffmpeg's own words."""
    command = [full_ffmpeg(), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, input=stdin or b"", capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def bin_dir_as_made() -> str:
    """What `make bin-dir` prints: the folder of the ffmpeg to use here, which is built now if need be."""
    command = ["make", "-s", "-C", str(LAYER), "bin-dir", f"PYTHON={sys.executable}"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


@contextmanager
def layer_first_on_path() -> Iterator[None]:
    """Let the programs of the ffmpeg layer be found before any others, as in Lambda."""
    folder = bin_dir_as_made().strip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
        yield
