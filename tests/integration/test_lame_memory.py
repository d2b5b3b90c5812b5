"""LAME as the layer has it, compiled once more with AddressSanitizer: no patch may touch what is beside its memory.

Under the sanitizer gcc sums floats in another order, so the outputs are not those of test_lame_outputs.py.
"""

from __future__ import annotations

import importlib
import platform
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from tests.audio.programs import LAYER
from tests.integration import lame_outputs

pytestmark = pytest.mark.long

SANITIZER = "-fsanitize=address -g"
NO_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}  # the end of the process frees all


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lame-frames that ends with an error where it reads or writes beside its memory."""
    work = tmp_path_factory.mktemp("lame")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(LAYER))
        recipe = importlib.import_module("recipe")
        target = recipe.target_for({"aarch64": "arm64"}.get(platform.machine(), platform.machine()))
        patched.setattr(recipe, "PACKAGES", ("lame",))
        patched.setattr(recipe, "HARDENING", SANITIZER)
        build = recipe.Build(target, recipe.find_supplies(target), work)
        for folder in (build.sources, build.prefix / "lib", build.prefix / "include"):
            folder.mkdir(parents=True)
        build._download_sources()
        build._unpack_sources()
        for patch in recipe.LAME_PATCHES:
            build.steps.run(["patch", "-p1", "-i", LAYER / patch], cwd=build.sources / "lame")
        build._make_libraries("prefix/lib/libmp3lame.a")
        build._make_libraries("prefix/include/lame/lame.h")
    program = work / "lame-frames"
    compile_it = ["gcc", *SANITIZER.split(), f"-I{build.prefix}/include", str(LAYER / recipe.LAME_FRAMES)]
    link_it = ["-o", str(program), f"-L{build.prefix}/lib", "-lmp3lame", "-lm"]
    subprocess.run([*compile_it, *link_it], check=True)
    return program


def test_nothing_beside_its_memory_is_read_or_written(sanitized: Path) -> None:
    for sample_rate, channels, rate in islice(lame_outputs.cases(), 0, None, 3):
        command = [str(sanitized), str(sample_rate), str(channels), rate]

        done = subprocess.run(
            command, env=NO_LEAKS, input=lame_outputs.sound(channels), capture_output=True, check=False
        )

        assert done.returncode == 0, (command[1:], done.stderr.decode()[:2000])
