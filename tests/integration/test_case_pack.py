"""An external pack of files that people really have, with what must come out of each: converted when it is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audio.programs import layer_first_on_path

PROJECT = Path(__file__).resolve().parents[2]
PACK = Path(os.environ.get("CASE_PACK") or PROJECT.parent / "shared" / "cases")


@pytest.mark.skipif(not (PACK / "check.py").is_file(), reason="no case pack beside the checkout, nor in CASE_PACK")
def test_every_file_of_the_pack_comes_out_as_it_must() -> None:
    with layer_first_on_path():
        folder = os.environ["PATH"].partition(os.pathsep)[0]
        done = subprocess.run(
            [sys.executable, "-B", str(PACK / "check.py"), str(PROJECT), str(PACK)],
            env={**os.environ, "LAYER_BIN": folder},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
