"""Child processes that never outlive this one: each runs under the supervisor."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

SUPERVISOR = Path(__file__).with_name("supervisor.py")
STOP_SECONDS = 60.0  # far more than the supervisor takes; it must not be cut short


class SupervisedProcess:
    """A command and everything that it starts. `stop` ends all of it; so does the end of this process."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        work_folder: Path | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> None:
        """Start `command`. `work_folder` is deleted when it has ended, whatever the reason."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(SUPERVISOR), str(work_folder or ""), *map(str, command)],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
            env=env,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops the others in order
        )

    @property
    def supervisor_id(self) -> int:
        """Process id of the supervisor, below which the command and all that it starts are."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait(self) -> tuple[bytes, int]:
        """Wait for the end; stop it if the waiting is interrupted. Returns captured standard output and exit status."""
        try:
            output = self._process.stdout.read() if self._process.stdout else b""
            return output, self._process.wait()
        finally:
            self.stop()

    def stop(self) -> None:
        """End the command and everything below it. Safe to call twice."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
