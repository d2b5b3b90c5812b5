"""`sam build` makes what the template promises, for the processor that was asked for, and small enough."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from local import template as templates
from tests.runtime.artefacts import SAM_BUILDS, size_bytes

BUDGET_BYTES = 60_000_000
ELF_MACHINES = {"x86_64": 62, "arm64": 183}
PT_INTERP = 3

both_processors = pytest.mark.parametrize("architecture", SAM_BUILDS)


@both_processors
def test_functions_and_layers_are_small(architecture: str) -> None:
    sizes = {folder.name: size_bytes(folder) for folder in SAM_BUILDS[architecture].iterdir() if folder.is_dir()}

    assert set(sizes) == {"ResampleFunction", "ApiFunction", "PurgeFunction", "SharedLayer", "FfmpegLayer"}
    assert sum(sizes.values()) < BUDGET_BYTES, sizes


@both_processors
@pytest.mark.parametrize("program", ["ffmpeg", "ffprobe", "lame-frames"])
def test_the_programs_are_static_and_for_that_processor(architecture: str, program: str) -> None:
    content = (SAM_BUILDS[architecture] / "FfmpegLayer" / "bin" / program).read_bytes()

    assert content[:6] == b"\x7fELF\x02\x01", "64-bit, little-endian"
    assert struct.unpack_from("<H", content, 18) == (ELF_MACHINES[architecture],)
    start, size, count = (struct.unpack_from(form, content, at)[0] for form, at in (("<Q", 32), ("<H", 54), ("<H", 56)))
    segments = [struct.unpack_from("<I", content, start + index * size)[0] for index in range(count)]
    assert PT_INTERP not in segments, "a program with an interpreter needs libraries that Lambda may not have"


@both_processors
def test_the_built_template_says_so(architecture: str) -> None:
    built = templates.load(SAM_BUILDS[architecture] / "template.yaml")

    assert built["Resources"]["FfmpegLayer"]["Metadata"]["BuildArchitecture"] == architecture


@both_processors
def test_the_papers_of_the_layer_come_with_it(architecture: str) -> None:
    papers = SAM_BUILDS[architecture] / "FfmpegLayer" / "share" / "ffmpeg-layer"

    assert f"arch {architecture}\n" in (papers / "versions.txt").read_text()
    assert (papers / "LICENSES.md").is_file()


def test_only_ffmpeg_depends_on_the_processor() -> None:
    def files(architecture: str) -> dict[Path, bytes]:
        build = SAM_BUILDS[architecture]
        names = ("ResampleFunction", "ApiFunction", "PurgeFunction", "SharedLayer")
        return {
            path.relative_to(build): path.read_bytes()
            for name in names
            for path in (build / name).rglob("*")
            if path.is_file() and path.suffix == ".py"
        }

    assert files("x86_64") == files("arm64")
    assert not list((SAM_BUILDS["x86_64"] / "SharedLayer").rglob("*.so"))
