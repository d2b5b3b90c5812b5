"""What a program that parses hostile bytes can't do, tried out by programs that try."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from audiojobs.errors import UploadTooLarge
from resample.sandbox import confinement
from resample.sandbox.confinement import kill, start
from resample.sandbox.process import run


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> None:
    """What is done or said once in a process is done again in each test."""
    for once in (confinement._warn_once, confinement._hide_from_proc, confinement._is_subreaper):
        once.cache_clear()


def warning(refused: str) -> str:
    return f"the system refuses {refused}: ffmpeg runs without it"


def ignore(data: bytes) -> None:
    pass


def python(script: str) -> list[str]:
    """The script begins when its stdin has ended."""
    return [sys.executable, "-I", "-S", "-c", f"import os; os.read(0, 1)\n{script}"]


def outcome(script: str, folder: Path | None = None, deadline: float | None = None) -> tuple[int, str]:
    """Exit status, and stdout or the last line of stderr; the script begins when its limits stand."""
    stdin, end = os.pipe()
    process = start(python(script), folder=folder, deadline=deadline, stdin=stdin)
    os.close(stdin)
    os.close(end)
    output, complaints = process.communicate()
    return process.returncode, (output or complaints).decode().strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    "script",
    [
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import socket; socket.socketpair()",
        "import os; os.kill(os.getppid(), 0)",
        "import os; os.kill(0, 0)",
        "import os, signal; signal.pidfd_send_signal(os.open(f'/proc/{os.getppid()}', os.O_DIRECTORY), 0)",
        "import signal; signal.raise_signal(0)",
    ],
    ids=["network", "unix-socket", "socket-pair", "to-parent", "to-group", "to-parent-by-descriptor", "to-thread"],
)
def test_calls_that_are_refused(script: str) -> None:
    assert outcome(script) == (1, "PermissionError: [Errno 1] Operation not permitted")


@pytest.mark.parametrize("name", sorted(confinement._REFUSED))
def test_each_call_of_the_list_is_refused(name: str) -> None:
    number = confinement._REFUSED[name][os.uname().machine]
    script = (
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({number}, os.getppid(), 0, 0, 0, 0, 0), ctypes.get_errno())"
    )

    assert outcome(script) == (0, f"-1 {errno.EPERM}")


on_x86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="other processors have one way in")


@on_x86_64
@pytest.mark.parametrize("number", [0, 39, 41, 0x3FFFFFFF], ids=["read", "getpid", "socket", "none"])
def test_no_call_of_the_x32_interface_passes(number: int) -> None:
    """Which has the same architecture and other numbers: 0x40000000 and above."""
    script = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({0x40000000 | number}, 0, 0, 0, 0, 0, 0), ctypes.get_errno())"
    )

    assert outcome(script) == (0, f"-1 {errno.EPERM}")


def test_a_call_that_nobody_knows_is_left_to_the_kernel() -> None:
    script = (
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({0x3FFFFFFF}, 0, 0, 0, 0, 0, 0), ctypes.get_errno())"
    )

    assert outcome(script) == (0, f"-1 {errno.ENOSYS}")


@on_x86_64
def test_a_call_of_another_architecture_ends_the_program() -> None:
    """``int 0x80`` is i386's, where ``socket`` has another number: 359."""
    script = (
        "import ctypes, mmap\n"
        "code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "code.write(bytes.fromhex('b867010000cd80c3'))  # mov eax, 359; int 0x80; ret\n"
        "print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))())"
    )

    assert outcome(script) == (-signal.SIGSYS, "")


def test_calls_have_the_numbers_of_the_kernels_headers() -> None:
    headers = {
        "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        "aarch64": Path("/usr/include/asm-generic/unistd.h"),
    }
    for machine, header in headers.items():
        if not header.exists():
            pytest.skip("there are no kernel headers")
        there = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text()))

        expected = {name: numbers[machine] for name, numbers in confinement._REFUSED.items()}
        expected["seccomp"] = confinement._SECCOMP[machine]

        assert {name: int(there[name]) for name in expected} == expected


_LOOKS_AT_ITS_PARENT = """
import os
for name in ("environ", "mem", "maps", "fd/0"):
    try:
        print(open(f"/proc/{os.getppid()}/{name}", "rb"))
    except PermissionError:
        print("refused")
"""

_HAS_A_SECRET = f"""
import ctypes, os, sys
if len(sys.argv) == 1:  # root may look everywhere: give up all capabilities (PR_CAPBSET_DROP) and begin anew
    for capability in range(64):
        ctypes.CDLL(None).prctl(24, capability)
    os.execv(sys.executable, [*sys.orig_argv, "anew"])
from resample.sandbox.confinement import start
print(start([sys.executable, "-I", "-S", "-c", {_LOOKS_AT_ITS_PARENT!r}]).communicate())
"""


def test_the_environment_and_memory_of_the_service_are_out_of_reach() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _HAS_A_SECRET],
        env={"AWS_SECRET_ACCESS_KEY": "very secret", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=True,
    )

    assert done.stdout.decode().strip() == str((b"refused\n" * 4, b""))


def test_no_new_privileges_and_no_way_back() -> None:
    script = (
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith(('NoNewPrivs', 'Seccomp:'))])"
    )

    assert outcome(script) == (0, "['1', '2']")


def rights() -> set[str]:
    """Of all threads of this process; one that has just ended may still be in ``/proc``."""
    states = [Path(f"/proc/self/task/{thread.native_id}/status").read_text() for thread in threading.enumerate()]
    return {line for state in states for line in state.splitlines() if line.startswith(("NoNewPrivs", "Seccomp"))}


def test_the_service_itself_keeps_its_rights() -> None:
    before = rights()

    outcome("")

    assert rights() == before != set()
    socket.socket().close()


def test_what_it_starts_is_confined_too() -> None:
    script = "import os, sys; os.execv(sys.executable, ['python', '-c', 'import socket; socket.socket()'])"

    assert outcome(script) == (1, "PermissionError: [Errno 1] Operation not permitted")


def test_no_environment_and_no_foreign_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very secret")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)

    status, seen = outcome(
        "import os; print([n for n in os.environ if n != 'LC_CTYPE'], sorted(os.listdir('/proc/self/fd'))[:3])"
    )

    os.close(reading)
    os.close(writing)
    assert (status, seen) == (0, "[] ['0', '1', '2']")


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_max_memory_bytes", lambda: 64 << 20)

    assert outcome("x = bytearray(20 << 20); print(len(x))") == (0, str(20 << 20))
    assert outcome("x = bytearray(100 << 20)") == (1, "MemoryError")


@pytest.mark.parametrize(("whole_megabytes", "most"), [(512, 256), (1536, 768), (24_000, 768)])
def test_memory_is_at_most_half_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, whole_megabytes: int, most: int
) -> None:
    pages = {"SC_PHYS_PAGES": whole_megabytes << 8, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__)

    assert confinement._max_memory_bytes.__wrapped__() == most << 20


def test_written_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "MAX_WRITTEN_BYTES", 100_000)
    script = (
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "open('out', 'wb', 0).write(bytes(50_000))\n"
        "more = open('more', 'wb', 0)\n"
        "for _ in range(200): more.write(bytes(1000))\n"
    )

    status, _ = outcome(script, tmp_path)

    assert status == -signal.SIGXFSZ
    assert (tmp_path / "out").stat().st_size == 50_000
    assert (tmp_path / "more").stat().st_size == 100_000
    with pytest.raises(UploadTooLarge):
        run(
            python(script.replace("for _ in range(200)", "while True")),
            folder=tmp_path,
            deadline=time.monotonic() + 300,
            on_output=ignore,
        )


@pytest.mark.parametrize(
    ("free", "most"),
    [(20 << 20, 4 << 20), (16 << 20, 0), (1 << 20, 0), (10 << 30, (10 << 30) - (16 << 20)), (1 << 40, 10 << 30)],
    ids=["16 MB are left free", "nothing", "full", "10 GB", "more than Lambda's disk"],
)
def test_the_disk_is_not_filled_to_the_brim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, most: int
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))

    script = "import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE))"

    assert outcome(script, tmp_path) == (0, str((most, most)))


def test_nothing_can_be_written_without_a_folder(tmp_path: Path) -> None:
    status, complaint = outcome(f"open({str(tmp_path / 'out')!r}, 'wb', 0).write(b'x')")

    assert (status, complaint) == (1, "OSError: [Errno 27] File too large")
    assert (tmp_path / "out").read_bytes() == b""


def test_computing_ends_soon_after_the_deadline_even_if_nobody_is_left_to_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confinement, "_SPARE_CPU_SECONDS", 1)
    limit = "from resource import *; print(getrlimit(RLIMIT_CPU))"

    status, _ = outcome("while True: pass", deadline=time.monotonic())

    assert status in (-signal.SIGXCPU, -signal.SIGKILL)
    assert outcome(limit, deadline=time.monotonic()) == (0, "(1, 1)")


@pytest.mark.parametrize(("seconds", "most"), [(99.5, 602), (-5.0, 2)], ids=["to come", "over"])
def test_computing_may_take_all_processors_until_the_deadline_and_two_seconds(
    monkeypatch: pytest.MonkeyPatch, seconds: float, most: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    limit = "from resource import *; print(getrlimit(RLIMIT_CPU))"

    assert outcome(limit, deadline=time.monotonic() + seconds) == (0, f"({most}, {most})")
    assert outcome(limit) == (0, "(-1, -1)"), "without a deadline"


def test_descriptors_and_core_dumps() -> None:
    script = "from resource import *; print(getrlimit(RLIMIT_NOFILE), getrlimit(RLIMIT_CORE))"

    assert outcome(script) == (0, "(32, 32) (0, 0)")


def test_a_system_that_refuses_limits(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_: int, limit: int, __: tuple[int, int]) -> None:
        if limit == resource.RLIMIT_DATA:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        others.append(limit)

    others: list[int] = []
    monkeypatch.setattr(resource, "prlimit", refuse)

    assert outcome("print('done')") == (0, "done")
    assert outcome("print('done')") == (0, "done")
    assert [record.message for record in caplog.records] == [
        warning(f"resource limit {resource.RLIMIT_DATA} (Operation not permitted)")
    ], "once, not for each program"
    assert set(others) == {resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CORE}


@pytest.mark.parametrize(
    ("option", "refused"), [(4, "PR_SET_DUMPABLE"), (38, "PR_SET_NO_NEW_PRIVS")], ids=["dumpable", "privileges"]
)
def test_a_system_that_refuses_to_confine(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, option: int, refused: str
) -> None:
    prctl = confinement._prctl
    monkeypatch.setattr(confinement, "_prctl", lambda given, value: given != option and prctl(given, value))

    assert [outcome("print('done')") for _ in range(2)] == [(0, "done")] * 2
    assert [record.message for record in caplog.records] == [warning(refused)]


def test_a_system_that_refuses_the_filter(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(confinement, "_SECCOMP_SET_MODE_FILTER", 99)

    assert [outcome("print('done')") for _ in range(2)] == [(0, "done")] * 2
    assert [record.message for record in caplog.records] == [warning("seccomp")]


def test_a_processor_that_nobody_knows(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(os, "uname", lambda: type("Uname", (), {"machine": "riscv64"}))

    assert outcome("print('done')") == (0, "done")
    assert [record.message for record in caplog.records] == [warning("seccomp")]


def test_a_program_that_ended_before_its_limits_came(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(*_: object) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(resource, "prlimit", too_late)

    assert outcome("print('done')") == (0, "done")


def test_many_at_the_same_time() -> None:
    ends: list[tuple[int, str]] = []
    threads = [threading.Thread(target=lambda: ends.append(outcome("print(1)"))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ends == [(0, "1")] * 8


def test_a_group_is_ended_as_a_whole() -> None:
    process = start(python("import os, time; os.fork(); print('here', flush=True); time.sleep(3600)"))
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(5) == b"here\n"
    assert process.stdout.read(5) == b"here\n"

    kill(process)

    assert process.stdout.read() == b"", "nobody is left who could write"
    assert process.returncode == -signal.SIGKILL
    process.stdout.close()
    process.stderr.close()


def test_what_outlives_its_parent_is_ended_too() -> None:
    process = start(python("import os, time\nif os.fork(): os._exit(0)\nprint('here', flush=True); time.sleep(3600)"))
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(5) == b"here\n"
    assert process.wait() == 0

    kill(process)
    kill(process)

    assert process.stdout.read() == b"", "nobody is left who could write"
    process.stdout.close()
    process.stderr.close()
