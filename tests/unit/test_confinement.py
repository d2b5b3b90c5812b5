"""What a program that parses hostile bytes can't do, tried out by programs that try."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from audiojobs.errors import TimeLimit, UploadTooLarge
from resample import confinement
from resample.confinement import kill, start
from resample.process import run


def ignore(data: bytes) -> None:
    pass


def python(script: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", f"import time; time.sleep(0.05)\n{script}"]


def outcome(script: str, folder: Path | None = None, deadline: float | None = None) -> tuple[int, str]:
    """Exit status, and stdout or the last line of stderr; the script begins when its limits stand."""
    process = start(python(script), folder=folder, deadline=deadline)
    output, complaints = process.communicate(timeout=30)
    return process.returncode, (output or complaints).decode().strip().rpartition("\n")[2]


@pytest.mark.parametrize(
    "script",
    [
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import socket; socket.socketpair()",
        "import os; os.kill(os.getppid(), 0)",
        "import os; os.kill(0, 0)",
    ],
    ids=["network", "unix-socket", "socket-pair", "signal-to-parent", "signal-to-group"],
)
def test_calls_that_are_refused(script: str) -> None:
    assert outcome(script) == (1, "PermissionError: [Errno 1] Operation not permitted")


def test_the_memory_of_another_process_is_out_of_reach() -> None:
    script = (
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "ctypes.create_string_buffer(8)\n"
        "print(libc.ptrace(16, os.getppid(), 0, 0), ctypes.get_errno(),"
        " libc.process_vm_readv(os.getppid(), 0, 0, 0, 0, 0), ctypes.get_errno())"
    )

    assert outcome(script) == (0, "-1 1 -1 1")


def test_no_new_privileges_and_no_way_back() -> None:
    script = (
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith(('NoNewPrivs', 'Seccomp:'))])"
    )

    assert outcome(script) == (0, "['1', '2']")


def test_the_service_itself_keeps_its_rights() -> None:
    outcome("")

    assert "Seccomp:\t2" not in Path("/proc/self/status").read_text()
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


def test_memory_is_at_most_half_of_the_machine() -> None:
    confinement._max_memory_bytes.cache_clear()
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    assert confinement._max_memory_bytes() == min(768 << 20, whole // 2)


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
        run(python(script), folder=tmp_path, deadline=time.monotonic() + 30, on_output=ignore)


def test_the_disk_is_not_filled_to_the_brim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 20 << 20
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))

    script = "import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE))"

    assert outcome(script, tmp_path) == (0, str((4 << 20, 4 << 20)))


def test_nothing_can_be_written_without_a_folder(tmp_path: Path) -> None:
    status, complaint = outcome(f"open({str(tmp_path / 'out')!r}, 'wb', 0).write(b'x')")

    assert (status, complaint) == (1, "OSError: [Errno 27] File too large")
    assert (tmp_path / "out").read_bytes() == b""


def test_computing_ends_soon_after_the_deadline_even_if_nobody_is_left_to_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confinement, "_SPARE_CPU_SECONDS", 1)
    started = time.monotonic()

    status, _ = outcome("while True: pass", deadline=time.monotonic())

    assert status in (-signal.SIGXCPU, -signal.SIGKILL)
    assert time.monotonic() - started < 20


def test_time_that_ran_out_inside_the_program(tmp_path: Path) -> None:
    with pytest.raises(TimeLimit):
        run(
            python("import signal; signal.raise_signal(signal.SIGXCPU)"),
            folder=tmp_path,
            deadline=time.monotonic() + 30,
            on_output=ignore,
        )


def test_descriptors_and_core_dumps() -> None:
    script = "from resource import *; print(getrlimit(RLIMIT_NOFILE), getrlimit(RLIMIT_CORE))"

    assert outcome(script) == (0, "(32, 32) (0, 0)")


def test_a_system_that_refuses_limits(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(resource, "prlimit", refuse)

    assert outcome("print('done')") == (0, "done")
    assert [record.message for record in caplog.records] == ["the system refuses resource limits"]


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
    process = start(python("import os, time; os.fork(); print('here', flush=True); time.sleep(60)"))
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(5) == b"here\n"
    assert process.stdout.read(5) == b"here\n"

    kill(process)

    assert process.stdout.read() == b"", "nobody is left who could write"
    assert process.returncode == -signal.SIGKILL
    process.stdout.close()
    process.stderr.close()
