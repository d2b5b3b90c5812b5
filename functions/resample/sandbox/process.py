"""Runs one program that is trusted with nothing, and listens to it.

No shell, a deadline, and a bound on what it may write to its pipes.
:mod:`resample.sandbox.confinement` bounds the rest.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from audiojobs.errors import CorruptAudio, InternalError, TimeLimit, UploadTooLarge
from resample.sandbox.confinement import kill, start

MAX_OUTPUT_BYTES = 16 << 20
"""What a program may write to stdout, and to stderr. Progress reports of 15 minutes take less than 1 MiB."""

_TOO_MUCH = (
    "The file has too much text in its tags, or is damaged in too many places. Save the sound without tags as a new "
    "file, and upload that."
)
_LAST_LINES = 20
_MAX_LINE_BYTES = 1000
_CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: ``exit_status`` is negative for a signal, ``last_lines`` is the end of its stderr."""

    exit_status: int
    last_lines: tuple[str, ...]


def executable(name: str) -> str:
    """Where a program stands on PATH; the ffmpeg layer puts its own there.

    Raises :class:`~audiojobs.errors.InternalError` if it does not.
    """
    path = shutil.which(name)
    if path is None:
        raise InternalError(f"The service has no {name}: the ffmpeg layer is missing.")
    return path


def run(
    arguments: Sequence[str],
    *,
    folder: Path,
    deadline: float,
    on_output: Callable[[bytes], None],
    on_line: Callable[[str], bool] = bool,
    inherited: int | None = None,
    stdin: int = subprocess.DEVNULL,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
) -> Finished:
    """Run ``arguments`` in ``folder`` until it ends, handing over stdout piece by piece and stderr line by line.

    ``on_line`` tells whether a line is worth keeping. The program gets an empty environment and a session of its own.
    It is killed with all that it started: at ``deadline`` (``time.monotonic()``), as soon as it has written more than
    ``max_output_bytes`` to stdout or to stderr, and when a callback raises.
    ``inherited`` is a file descriptor for the program alone: it is closed here. ``stdin`` stays open.

    Raises :class:`~audiojobs.errors.TimeLimit`; :class:`~audiojobs.errors.CorruptAudio` if it wrote more to its pipes
    than it may, and :class:`~audiojobs.errors.UploadTooLarge` if it wrote more than fits on the disk: both are the
    file's fault; :class:`~audiojobs.errors.InternalError` if it can't be started.
    """
    try:
        pass_fds = () if inherited is None else (inherited,)
        process = start(arguments, folder=folder, deadline=deadline, stdin=stdin, pass_fds=pass_fds)
    except OSError as error:
        raise InternalError from error
    finally:
        if inherited is not None:
            os.close(inherited)
    lines = _Lines(on_line)
    try:
        _pump(process, on_output, lines, deadline, max_output_bytes)
        exit_status = process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeLimit from None
    finally:
        _end(process)
    if exit_status == -signal.SIGXFSZ:
        raise UploadTooLarge("The result of this file would be too large to store.")
    return Finished(exit_status, lines.last())


def _pump(
    process: subprocess.Popen[bytes],
    on_output: Callable[[bytes], None],
    lines: _Lines,
    deadline: float,
    max_output_bytes: int,
) -> None:
    """Read both pipes until both are closed."""
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    bytes_left = {pipe.fileno(): max_output_bytes for pipe in (process.stdout, process.stderr)}
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, on_output)
        selector.register(process.stderr, selectors.EVENT_READ, lines.feed)
        while selector.get_map():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise TimeLimit
            for key, _ in selector.select(remaining):
                data = os.read(key.fd, _CHUNK_BYTES)
                bytes_left[key.fd] -= len(data)
                if bytes_left[key.fd] < 0:
                    raise CorruptAudio(_TOO_MUCH)
                if data:
                    key.data(data)
                else:
                    selector.unregister(key.fileobj)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the process group, collect the process, and close its pipes."""
    kill(process)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


class _Lines:
    """The last lines of a text that may be endless."""

    def __init__(self, on_line: Callable[[str], bool]) -> None:
        self._on_line = on_line
        self._rest = b""
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def feed(self, data: bytes) -> None:
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:_MAX_LINE_BYTES]
        for line in whole:
            self._add(line)

    def last(self) -> tuple[str, ...]:
        if self._rest:
            self._add(self._rest)
            self._rest = b""
        return tuple(self._last)

    def _add(self, line: bytes) -> None:
        text = line[:_MAX_LINE_BYTES].decode(errors="replace")
        if self._on_line(text):
            self._last.append(text)
