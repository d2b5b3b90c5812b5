"""How the ffmpeg layer is compiled: hardened everywhere, and for the right processor."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

LAYER = Path(__file__).resolve().parents[3] / "layers" / "ffmpeg"
OF_PCS_ALONE = {"-mavx", "-DHAVE_XMMINTRIN_H", "-DTAKEHIRO_IEEE754_HACK", "-DUSE_FAST_LOG"}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A build's folder with empty sources of all names."""
    text = (LAYER / "libraries.mk").read_text().replace("\\\n", " ")
    for folder, names in re.findall(r"addprefix (sources/[^,]+/), ([^)]+)\)", text):
        for name in names.split():
            path = tmp_path / folder / f"{name.removesuffix('.o')}.c"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (tmp_path / "sources/lame/libmp3lame/vector").mkdir()
    (tmp_path / "sources/lame/libmp3lame/vector/xmm_quantize_sub.c").touch()
    return tmp_path


def compilations(sources: Path, machine: str) -> dict[str, set[str]]:
    """The words of each compiler's call, by the name of the source."""
    variables = ["CC=cc", "AR=ar", f"MACHINE={machine}", "HARDENING=-hardened", "LAME_FLAGS=-fast"]
    command = ["make", "--dry-run", "-f", str(LAYER / "libraries.mk"), *variables, "all"]
    told = subprocess.run(command, cwd=sources, capture_output=True, text=True, check=True).stdout
    calls = [line.split() for line in told.splitlines() if line.startswith("cc ")]
    return {Path(words[-1]).stem: set(words) for words in calls}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_file_is_compiled_hardened(sources: Path, machine: str) -> None:
    calls = compilations(sources, machine)

    assert {"inflate", "soxr", "cr64", "psymodel", "vbr_noise_avx2"} <= set(calls)
    assert all("-hardened" in words for words in calls.values())


def test_what_only_a_pc_has_is_asked_of_a_pc_alone(sources: Path) -> None:
    pc, arm = compilations(sources, "x86_64"), compilations(sources, "aarch64")

    assert set.union(*pc.values()) >= OF_PCS_ALONE
    assert not set.union(*arm.values()) & OF_PCS_ALONE
    assert set(pc) - set(arm) == {"cr32s", "pffft32s", "util32s", "cr64s", "pffft64s", "util64s", "xmm_quantize_sub"}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_sums_whose_order_decides_bytes_keep_it(sources: Path, machine: str) -> None:
    calls = compilations(sources, machine)

    exact = {name for name, words in calls.items() if "-fno-fast-math" in words}
    assert exact == {"calc_noise_avx2", "fht_avx2", "spreading_avx2", "subband_avx2", "vbr_noise_avx2"}
    assert all("-ffp-contract=off" in calls[name] for name in exact)


@pytest.mark.skipif(shutil.which("nasm") is None, reason="nasm is missing")
def test_macros_that_are_expanded_once_give_the_same_instructions(tmp_path: Path) -> None:
    (tmp_path / "sum.asm").write_text(
        "%macro ADD_ALL 1\n%assign i 0\n%rep %1\n add eax, i\n%assign i i+1\n%endrep\n%endmacro\n"
        "section .text\nglobal sum\nsum:\n ADD_ALL 40\n jmp .end\n times 200 nop\n.end: ret\n"
    )
    objects = {}
    for assembler in ("nasm", str(LAYER / "nasm-once.sh")):
        command = [assembler, "-f", "elf64", "-MD", "sum.d", "-o", "sum.o", "sum.asm"]
        subprocess.run(command, cwd=tmp_path, check=True)
        code = tmp_path / "code"
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", "sum.o", code], cwd=tmp_path, check=True)
        objects[assembler] = code.read_bytes()

    first, second = objects.values()
    assert first == second
    assert len(first) > 300
