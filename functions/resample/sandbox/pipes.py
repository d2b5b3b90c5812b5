"""Pipes that hold more than the 64 kB they come with: their readers and writers are woken less often."""

from __future__ import annotations

import contextlib
import fcntl

PIPE_BYTES = 1 << 20
_DEFAULT_BYTES = 64 << 10


def widen_pipe(descriptor: int) -> int:
    """Make a pipe hold a megabyte, if the system lets us. Returns its capacity in bytes."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
    except OSError:
        return _DEFAULT_BYTES
