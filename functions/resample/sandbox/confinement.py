"""Starts a program that parses hostile bytes, takes from it what it does not need for that, and ends it.

From its first instruction, the program has an empty environment, a session of its own, and no descriptor but those it
is given. Where the kernel allows it, the program also gets no new privileges, and can make no call that opens a socket,
sends a signal or reaches into another process (seccomp, which every later program and thread inherits). A thread sets
both for itself and then starts the program, which inherits them; the thread lives only for that. ``preexec_fn`` would
run Python between fork and exec, which can deadlock in a process with other threads.

A moment later, ``prlimit`` sets bounds on memory, written bytes, CPU time, descriptors and core dumps from outside.
What was used before counts too, so a quick program gains nothing.

This process makes itself undumpable: otherwise ``/proc`` would show its memory, descriptors and environment, AWS
credentials included, to every program of the same user. And it makes itself a subreaper, so that no child of a program
outlives the program's end (:mod:`.strays`).

What the system refuses is logged once, and the program runs without it: no protection stands alone.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import math
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

from resample.sandbox.strays import MAX_DESCRIPTORS, descendants, forget_program, kill_strays, start_program

logger = logging.getLogger(__name__)

MAX_MEMORY_BYTES = 768 << 20
"""Of anonymous memory for one program. 64 channels at 768 kHz took less than 192 MiB, and so did a cover of 100 MB and
the index of an MP4 of 60 hours; filling one gap of ten minutes in an MP4 takes 450 to 500 for 48 kHz stereo."""

MAX_WRITTEN_BYTES = 10 << 30
"""For one file. Lambda's ``/tmp`` ends there."""

_DISK_RESERVE_BYTES = 16 << 20
_SPARE_CPU_SECONDS = 2


def start(
    arguments: Sequence[str],
    *,
    folder: Path | None = None,
    deadline: float | None = None,
    stdin: int = subprocess.DEVNULL,
    stderr: int = subprocess.PIPE,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start ``arguments`` in ``folder``, stdout being a pipe.

    It may write as much as the disk of ``folder`` holds, and nothing without a folder. ``deadline`` is a moment of
    ``time.monotonic()``. Ending the program then is the caller's task; should the caller be gone, its CPU time runs out
    soon after. Raises :class:`OSError` if it can't be started.
    """

    def spawn() -> subprocess.Popen[bytes]:
        _give_up_rights()
        return subprocess.Popen(
            arguments,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=folder,
            env={},
            start_new_session=True,
            pass_fds=pass_fds,
        )

    _hide_from_proc()
    _is_subreaper()
    with ThreadPoolExecutor(1, "confined") as thread:
        process = start_program(lambda: thread.submit(spawn).result())
    try:
        for limit, most in _limits(folder, deadline).items():
            _limit(process.pid, limit, most)
    except BaseException:
        kill(process)
        raise
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the program and all that it has started, in whatever session, and collect it. May be done twice."""
    left_behind = set() if _is_subreaper() else descendants(process.pid)
    with suppress(ProcessLookupError):  # the whole group has ended
        os.killpg(process.pid, signal.SIGKILL)
    for descendant in left_behind:
        with suppress(ProcessLookupError):
            os.kill(descendant, signal.SIGKILL)
    process.wait()
    forget_program(process.pid)
    kill_strays()


def _limit(process_id: int, limit: int, most: int) -> None:
    try:
        resource.prlimit(process_id, limit, (most, most))
    except ProcessLookupError:
        pass  # it has already ended
    except OSError as error:
        _warn_once(f"resource limit {limit} ({error.strerror})")


def _limits(folder: Path | None, deadline: float | None) -> Mapping[int, int]:
    limits = {
        resource.RLIMIT_DATA: _max_memory_bytes(),
        resource.RLIMIT_FSIZE: _max_written_bytes(folder) if folder else 0,
        resource.RLIMIT_NOFILE: MAX_DESCRIPTORS,
        resource.RLIMIT_CORE: 0,
    }
    if deadline is not None:
        wall_seconds = max(0, math.ceil(deadline - time.monotonic()))
        limits[resource.RLIMIT_CPU] = wall_seconds * (os.cpu_count() or 1) + _SPARE_CPU_SECONDS
    return limits


@cache
def _max_memory_bytes() -> int:
    """Half of the machine's memory: a file that asks for more shall fail alone, not take the function with it."""
    return min(MAX_MEMORY_BYTES, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)


def _max_written_bytes(folder: Path) -> int:
    return max(0, min(MAX_WRITTEN_BYTES, shutil.disk_usage(folder).free - _DISK_RESERVE_BYTES))


@cache
def _warn_once(refused: str) -> None:
    logger.warning("the system refuses %s: ffmpeg runs without it", refused)


# prctl(2) and seccomp(2)
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4  # without it, older kernels slow the program down for the sake of sandboxed JITs
_SECCOMP_RET_ALLOW = 0x7FFF0000
_SECCOMP_RET_KILL_PROCESS = 0x80000000
_SECCOMP_RET_ERRNO = 0x00050000

# Classic BPF over struct seccomp_data, which begins with the call's number and the architecture.
_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4
_X32_CALLS = 0x40000000


# By machine: AUDIT_ARCH, and the numbers of system calls.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_REFUSED = {
    "socket": {"x86_64": 41, "aarch64": 198},
    "socketpair": {"x86_64": 53, "aarch64": 199},
    "io_uring_setup": {"x86_64": 425, "aarch64": 425},
    "kill": {"x86_64": 62, "aarch64": 129},
    "tkill": {"x86_64": 200, "aarch64": 130},
    "tgkill": {"x86_64": 234, "aarch64": 131},
    "rt_sigqueueinfo": {"x86_64": 129, "aarch64": 138},
    "rt_tgsigqueueinfo": {"x86_64": 297, "aarch64": 240},
    "ptrace": {"x86_64": 101, "aarch64": 117},
    "process_vm_readv": {"x86_64": 310, "aarch64": 270},
    "process_vm_writev": {"x86_64": 311, "aarch64": 271},
    "pidfd_open": {"x86_64": 434, "aarch64": 434},
    "pidfd_send_signal": {"x86_64": 424, "aarch64": 424},
    "pidfd_getfd": {"x86_64": 438, "aarch64": 438},
}


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


@cache
def _hide_from_proc() -> None:
    """Make this process undumpable, once. What it starts is dumpable again."""
    if not _prctl(_PR_SET_DUMPABLE, 0):
        _warn_once("PR_SET_DUMPABLE")


@cache
def _is_subreaper() -> bool:
    """Whether orphans of what this process starts become its children. Asked for once, for this process as a whole."""
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1):
        return True
    _warn_once("PR_SET_CHILD_SUBREAPER")
    return False


def _give_up_rights() -> None:
    """Confine this thread and what it starts, for ever."""
    if not _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        _warn_once("PR_SET_NO_NEW_PRIVS")  # and no filter without it
    elif not _set_filter(os.uname().machine):
        _warn_once("seccomp")


def _prctl(option: int, value: int) -> bool:
    """Returns whether the kernel did it. It takes whole registers, and the unused ones have to be zero."""
    return bool(ctypes.CDLL(None).prctl(option, *map(ctypes.c_long, (value, 0, 0, 0))) == 0)


def _set_filter(machine: str) -> bool:
    """Whether the kernel did it."""
    if machine not in _ARCHITECTURES:
        return False
    words = (_SECCOMP[machine], _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_SPEC_ALLOW)
    program = _refusing(_ARCHITECTURES[machine], [numbers[machine] for numbers in _REFUSED.values()])
    return bool(ctypes.CDLL(None).syscall(*map(ctypes.c_long, words), ctypes.byref(program)) == 0)


def _refusing(architecture: int, numbers: Sequence[int]) -> _Program:
    """A filter that answers these calls with EPERM, and ends a program of another architecture."""
    last = len(numbers)
    instructions = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _SECCOMP_RET_KILL_PROCESS),
        (_LOAD_WORD, 0, 0, _NUMBER_OFFSET),
        (_JUMP_IF_AT_LEAST, last + 1, 0, _X32_CALLS),
        *((_JUMP_IF_EQUAL, last - index, 0, number) for index, number in enumerate(numbers)),
        (_RETURN, 0, 0, _SECCOMP_RET_ALLOW),
        (_RETURN, 0, 0, _SECCOMP_RET_ERRNO | errno.EPERM),
    ]
    array = (_Instruction * len(instructions))(*(_Instruction(*instruction) for instruction in instructions))
    return _Program(len(instructions), array)
