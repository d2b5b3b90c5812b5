"""A kernel that refuses what Lambda's sandbox may refuse: the same MP3, by several encoders, and a line in the log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audio.measure import decode
from tests.audio.programs import run_full_ffmpeg

PROJECT = Path(__file__).resolve().parents[2]

# By machine, as in confinement.py. The first three are none that the engine needs; it used them once.
CALLS = {
    "splice": {"x86_64": 275, "aarch64": 76},
    "sendfile": {"x86_64": 40, "aarch64": 71},
    "memfd_create": {"x86_64": 319, "aarch64": 279},
    "prlimit64": {"x86_64": 302, "aarch64": 261},
    "prctl": {"x86_64": 157, "aarch64": 167},
    "seccomp": {"x86_64": 317, "aarch64": 277},
    "close_range": {"x86_64": 436, "aarch64": 436},
}
LIMITS = tuple(f"resource limit {limit} (Operation not permitted)" for limit in (2, 1, 7, 4, 0))
SAYS = {
    "prlimit64": LIMITS,
    "prctl": ("PR_SET_DUMPABLE", "PR_SET_CHILD_SUBREAPER", "PR_SET_NO_NEW_PRIVS"),
    "seccomp": ("seccomp",),
}
REFUSED_ENGINE = """
import sys
from resample.sandbox import confinement
own, confinement._REFUSED = confinement._REFUSED, CALLS
confinement._give_up_rights()
confinement._REFUSED = own
from resample.engine.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def convert(source: Path, destination: Path, *refused: str) -> list[str]:
    """Convert it with two encoders, in a process that can't make these calls. Returns what it logs."""
    script = REFUSED_ENGINE.replace("CALLS", repr({name: CALLS[name] for name in refused}))
    wishes = ("--sample-rate", "8000", "--bit-rate", "8000", "--channels", "1", "--encoders", "2")
    folders = os.pathsep.join(str(PROJECT / name) for name in ("functions", "layers/shared"))
    done = subprocess.run(
        [sys.executable, "-c", script, str(source), str(destination), *wishes],
        env=os.environ | {"PYTHONPATH": folders},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "ready"
    return done.stderr.splitlines()


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough for several encoders."""
    path = tmp_path_factory.mktemp("music") / "music.wav"
    run_full_ffmpeg(
        "-f", "lavfi", "-i", "aevalsrc=0.3*sin(2*PI*t*(220+40*floor(mod(t*3\\,8)))):s=8000", "-t", "41", path
    )
    return path


@pytest.mark.parametrize("refused", [(name,) for name in CALLS] + [tuple(CALLS)], ids=lambda names: "+".join(names))
def test_calls_that_the_sandbox_refuses_cost_no_file(music: Path, tmp_path: Path, refused: tuple[str, ...]) -> None:
    said = convert(music, tmp_path / "refused.mp3", *refused)

    convert(music, tmp_path / "allowed.mp3")
    assert decode(tmp_path / "refused.mp3") == decode(tmp_path / "allowed.mp3")
    expected = {warning for name in refused for warning in SAYS.get(name, ())}
    if "prctl" in refused:
        expected.discard("seccomp")  # no filter is tried without PR_SET_NO_NEW_PRIVS
    assert sorted(said) == sorted(f"the system refuses {name}: ffmpeg runs without it" for name in expected)
