"""Commands typed at a terminal, by somebody who reads and answers."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path


def typed(
    command: str, *answers: tuple[str, str], environment: Mapping[str, str], cwd: Path, seconds_allowed: float
) -> str:
    """Run a command at a terminal, and give each answer when what it answers has been asked. Returns the screen."""
    ours, terminal = pty.openpty()
    with subprocess.Popen(
        ["bash", "-c", command],
        env=environment,
        cwd=cwd,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        screen, seen, waiting = "", 0, list(answers)
        deadline = time.monotonic() + seconds_allowed
        while (printed := _read(ours)) is not None:
            screen += printed
            if waiting and waiting[0][0] in screen[seen:]:
                seen = len(screen)
                os.write(ours, f"{waiting.pop(0)[1]}\n".encode())
            if time.monotonic() > deadline:
                process.kill()
        os.close(ours)
    assert process.returncode == 0, screen[-4000:]
    assert not waiting, f"never asked: {waiting}"
    return re.sub(r"\x1b\[[0-9;]*m", "", screen)  # without colours


def _read(terminal: int) -> str | None:
    """What came within a second, or None at the end."""
    if not select.select([terminal], [], [], 1.0)[0]:
        return ""
    try:
        return os.read(terminal, 65_536).decode(errors="replace") or None
    except OSError:  # what Linux says when nobody has the other side any more
        return None
