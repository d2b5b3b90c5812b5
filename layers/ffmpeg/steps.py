"""Running the commands of a build: one line a step, a log a step, and nothing left behind.

Everything is said on stderr, because stdout belongs to whoever asked for a folder.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

LAST_LINES = 25

# A build must come out the same whoever starts it. CFLAGS, MAKEFLAGS or ARCH of the caller would reach
# into the makefiles of the sources (FFmpeg's has an ARCH of its own), so commands get no more than this.
KEPT_ENVIRONMENT = {"PATH", "HOME", "TMPDIR", "APT_CONFIG", "http_proxy", "https_proxy", "no_proxy"}


class CannotBuild(Exception):
    """This machine lacks something that a build needs; the message says what."""


class StepFailed(Exception):
    """A command of the build failed; the message says which and shows the end of its log."""


def say(text: str) -> None:
    """One line of progress for a human."""
    sys.stderr.write(f"ffmpeg layer: {text}\n")


class Steps:
    """Runs commands, grouped into named steps, with their output in `log_folder`."""

    def __init__(self, log_folder: Path) -> None:
        self._log_folder = log_folder
        self._title = "start"

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Name what happens inside, and say how many seconds it took."""
        self._title = title
        started = time.monotonic()
        yield
        say(f"{title}: {time.monotonic() - started:.1f} s")

    def run(self, argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> str:
        """Run one command to its end and return what it printed.

        The command gets a process group of its own, so that an interrupted build can end
        `make` together with all the compilers below it.

        Raises:
            StepFailed: the command's exit status is not 0.
        """
        kept = {name: value for name, value in os.environ.items() if name in KEPT_ENVIRONMENT}
        log = self._log_folder / f"{self._title.split()[0]}.log"
        with log.open("ab") as output:
            start_bytes = output.tell()
            process = subprocess.Popen(
                [str(argument) for argument in argv],
                cwd=cwd,
                env={**kept, "LC_ALL": "C", **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        printed = log.read_bytes()[start_bytes:].decode(errors="replace")
        if status != 0:
            tail = "\n".join(f"  | {line}" for line in printed.splitlines()[-LAST_LINES:])
            raise StepFailed(f"{self._title} failed: `{Path(argv[0]).name}` ended with status {status}.\n{tail}")
        return printed
