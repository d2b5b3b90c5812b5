"""Which tests run which lines, and for how long: ``pytest -p tests.mutation.coverage_plugin --coverage-to FILE``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

FOLDERS = ("functions", "layers/shared")

# Begun when this is imported, which is before any module is that it shall see.
_coverage = coverage.Coverage(data_file=None, config_file=False, source=[str(Path(name).resolve()) for name in FOLDERS])
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
    """Write ``{"seconds": {test: seconds}, "lines": {file: {line: [test, ...]}}}``, of tests that passed."""
    _coverage.stop()
    data = _coverage.get_data()
    lines = {}
    for file in data.measured_files():
        by_line = data.contexts_by_lineno(file)
        lines[str(Path(file).relative_to(Path.cwd()))] = {
            line: [test for test in tests if test and test not in _not_passed] for line, tests in by_line.items()
        }
    seconds = {test: taken for test, taken in _seconds.items() if test not in _not_passed}
    session.config.getoption("--coverage-to").write_text(json.dumps({"seconds": seconds, "lines": lines}))
