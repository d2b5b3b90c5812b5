"""Running the commands of a build: one line a step, a log a step, and nothing left behind.

Everything is said on stderr, because stdout belongs to whoever asked for a folder. A terminal also gets a bar.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

LAST_LINES = 25
BAR_WIDTH = 30

# A build must come out the same whoever starts it. CFLAGS, MAKEFLAGS or ARCH of the caller would reach
# into the makefiles of the sources (FFmpeg's has an ARCH of its own), so commands get no more than this.
KEPT_ENVIRONMENT = {"PATH", "HOME", "TMPDIR", "APT_CONFIG", "http_proxy", "https_proxy", "no_proxy"}


class CannotBuild(Exception):
    """This machine lacks something that a build needs; the message says what."""


class StepFailed(Exception):
    """A command of the build failed; the message says which and shows the end of its log."""


def say(text: str) -> None:
    """One line of progress for a human."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{clear}ffmpeg layer: {text}\n")
    sys.stderr.flush()


class Steps:
    """Runs commands, grouped into named steps, with their output in `log_folder`.

    `usual_seconds` is what the whole takes on two idle cores; the bar on a terminal is drawn from it.
    """

    def __init__(self, log_folder: Path, usual_seconds: float = 0.0) -> None:
        self._log_folder = log_folder
        self._usual_seconds = usual_seconds
        self._here = threading.local()
        self._lock = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._stopped = False
        self._over_seconds = 0.0
        self._under_way: dict[str, Callable[[], float]] = {}

    @contextmanager
    def step(
        self, title: str, usual_seconds: float = 0.0, fraction: Callable[[], float] | None = None
    ) -> Iterator[None]:
        """Name what happens inside, and say how many seconds it took. Threads have a step each.

        `usual_seconds` is the part of the whole that it takes, and `fraction` tells how far it is, from 0 to 1;
        without it, the time does.
        """
        started = time.monotonic()

        def usual_seconds_over() -> float:
            so_far = fraction() if fraction else (time.monotonic() - started) / (usual_seconds or 1.0)
            return usual_seconds * min(1.0, so_far)

        self._here.title = title
        self._under_way[title] = usual_seconds_over
        try:
            yield
        finally:
            del self._under_way[title]
        self._over_seconds += usual_seconds
        say(f"{title}: {time.monotonic() - started:.1f} s")

    def side_by_side(self, *tasks: Callable[[], object]) -> None:
        """Run tasks in threads of their own. When one fails, the commands of the others are ended.

        Raises:
            Exception: whatever the first task that failed has raised.
        """
        with ThreadPoolExecutor(len(tasks)) as threads:
            futures = [threads.submit(task) for task in tasks]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                self._stop()
                raise

    @contextmanager
    def bar(self) -> Iterator[None]:
        """Show on a terminal, while it lasts, what is under way and how much of the whole is over."""
        if not sys.stderr.isatty() or not self._usual_seconds:
            yield
            return
        over = threading.Event()

        def draw() -> None:
            while not over.wait(0.5):
                seconds = self._over_seconds + sum(step() for step in list(self._under_way.values()))
                part = min(0.99, seconds / self._usual_seconds)
                filled = round(part * BAR_WIDTH)
                names = ", ".join(title.split()[0] for title in list(self._under_way))
                columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
                line = f"ffmpeg layer: [{'=' * filled}{' ' * (BAR_WIDTH - filled)}] {part:4.0%}  {names}"
                sys.stderr.write(f"\r\x1b[K{line[: columns - 1]}\r")
                sys.stderr.flush()

        drawing = threading.Thread(target=draw, daemon=True)
        drawing.start()
        try:
            yield
        finally:
            over.set()
            drawing.join()
            sys.stderr.write("\x1b[K")

    def run(self, argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> str:
        """Run one command to its end and return what it printed.

        The command gets a process group of its own, so that an interrupted build can end
        `make` together with all the compilers below it.

        Raises:
            StepFailed: the command's exit status is not 0.
        """
        title = getattr(self._here, "title", "start")
        kept = {name: value for name, value in os.environ.items() if name in KEPT_ENVIRONMENT}
        log = self._log_folder / f"{title.split()[0]}.log"
        with log.open("ab") as output:
            start_bytes = output.tell()
            with self._lock:
                if self._stopped:
                    raise StepFailed(f"{title} was ended, because another step failed.")
                process = subprocess.Popen(
                    [str(argument) for argument in argv],
                    cwd=cwd,
                    env={**kept, "LC_ALL": "C", **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                self._running[process.pid] = process
            try:
                status = process.wait()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
            finally:
                with self._lock:
                    del self._running[process.pid]
        printed = log.read_bytes()[start_bytes:].decode(errors="replace")
        if status != 0:
            tail = "\n".join(f"  | {line}" for line in printed.splitlines()[-LAST_LINES:])
            raise StepFailed(f"{title} failed: `{Path(argv[0]).name}` ended with status {status}.\n{tail}")
        return printed

    def _stop(self) -> None:
        """End all commands, and let no other begin."""
        with self._lock:
            self._stopped = True
            for process in self._running.values():
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
