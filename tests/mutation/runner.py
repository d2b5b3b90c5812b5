"""Runs tests in a fresh process for each mutant: ``unshare --pid --fork --mount-proc python -m tests.mutation.runner``.

What the tests import from elsewhere is imported once, before that process is forked, which saves seconds a mutant.

A mutant may send any signal to any process, and may leave processes behind. So this has to be the first process of a
namespace of its own: no other process can be seen from there, and all that is left can be ended.

A line of JSON comes in, ``{"tests": [...], "test_seconds": N, "seconds": N}``, and one goes out, ``{"outcome": ...,
"test": ...}``: "passed", "failed", "timeout", or "nothing ran", and the test that failed, if one did.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

_MAX_MEMORY_BYTES = 8 << 30
_NOTHING_RAN = 99


class _Chosen:
    """A plugin: only these tests, in this order; the one that fails is noted."""

    def __init__(self, tests: Sequence[str], failed: Path) -> None:
        self._places = {test: place for place, test in enumerate(tests)}
        self._failed = failed

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._places), key=lambda item: self._places[item.nodeid]
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.write_text(report.nodeid)


def main() -> None:
    if os.getpid() != 1:
        raise SystemExit("A mutant can end any process that it sees: run this in a PID namespace of its own.")
    modules = json.loads(sys.stdin.readline())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in modules:
            with suppress(Exception):
                importlib.import_module(module)
    gc.freeze()  # what is kept for all of them needs no looking through in each
    print("{}", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as scratch:
            failed = Path(scratch, "failed")
            outcome = _run(asked["tests"], asked["test_seconds"], asked["seconds"], Path(scratch))
            answer = {"outcome": outcome, "test": failed.read_text() if failed.exists() else ""}
        print(json.dumps(answer), flush=True)


def _run(tests: Sequence[str], test_seconds: float, seconds: float, scratch: Path) -> str:
    child = os.fork()
    if child == 0:
        os._exit(_test(tests, test_seconds, scratch))
    deadline = time.monotonic() + seconds
    status = None
    while status is None and time.monotonic() < deadline:
        time.sleep(0.01)
        ended, raw = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(raw) if ended else None
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    if status is None:
        return "timeout"
    # 5: the files have none of the tests
    return {0: "passed", _NOTHING_RAN: "nothing ran", 5: "nothing ran"}.get(status, "failed")


def _test(tests: Sequence[str], test_seconds: float, scratch: Path) -> int:
    """In the child. Returns the exit status."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY_BYTES, _MAX_MEMORY_BYTES))
    # Bytecode of a mutant must not be taken for that of the code.
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True
    # No test may take what those outside have in /tmp for its own.
    os.environ["TMPDIR"] = str(scratch)
    tempfile.tempdir = None
    with (scratch / "output").open("wb") as output:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    options = ["-q", "-x", "-p", "no:cacheprovider", "-n", "0", "--timeout", str(test_seconds)]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of plugins that are imported already
    try:
        return int(pytest.main([*options, *files], plugins=[_Chosen(tests, scratch / "failed")]))
    except BaseException:  # whatever a mutant raises
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        if "MUTANT_OUTPUT" in os.environ:
            shutil.copyfile(scratch / "output", os.environ["MUTANT_OUTPUT"])


if __name__ == "__main__":
    main()
