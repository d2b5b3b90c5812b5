"""Which tests run which lines, and for how long: ``pytest -p tests.mutation.coverage_plugin --coverage-to FILE``."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

FOLDERS = ("functions", "layers/shared")

# Begun when this is imported, which is before any module is that it shall see.
_coverage = coverage.Coverage(
    data_file=None,
    config_file=False,
    source=[str(Path(name).resolve()) for name in FOLDERS],
    concurrency=["thread", "greenlet"],
)
_coverage.start()

_seconds: dict[str, float] = defaultdict(float)
_not_passed: set[str] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--coverage-to", type=Path, help="the JSON file to write")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _coverage.switch_context(item.nodeid)
    result = yield
    _coverage.switch_context("")
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration
    if not report.passed:
        _not_passed.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write of the tests that passed their ``seconds``, those that run each of the ``lines`` of a file, and what they
    import from elsewhere (``modules``).
    """
    _coverage.stop()
    data = _coverage.get_data()
    lines = {}
    for file in data.measured_files():
        by_line = data.contexts_by_lineno(file)
        lines[str(Path(file).relative_to(Path.cwd()))] = {
            line: [test for test in tests if test and test not in _not_passed] for line, tests in by_line.items()
        }
    measured = {
        "seconds": {test: taken for test, taken in _seconds.items() if test not in _not_passed},
        "lines": lines,
        "modules": [name for name, module in sorted(sys.modules.items()) if _is_from_elsewhere(name, module)],
    }
    session.config.getoption("--coverage-to").write_text(json.dumps(measured))


def _is_from_elsewhere(name: str, module: object) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and not Path(str(file)).is_relative_to(Path.cwd()) and name != "__main__"
