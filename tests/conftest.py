"""What all tests share: how they are spread over processes, and the figures that they print at the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

# How long an example takes says more about the neighbours than about the code, and an unchanged tree gives an unchanged
# answer: the long forms of the state machine and of the encoders look for new examples.
hypothesis.settings.register_profile(
    "side by side", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("side by side")

PROJECT = Path(__file__).resolve().parent.parent
ONE_STACK = "tests/e2e/"
STARTS_ITS_OWN = re.compile(r'EmbeddedAws\(|silent_stack\(|\["make"')

_figures: list[str] = []


class FilesSideBySide(LoadFileScheduling):  # type: ignore[misc]
    """A file stays in one process, and so do all that use the one end-to-end stack, whose last tests see the whole."""

    def _split_scope(self, nodeid: str) -> str:
        path: str = super()._split_scope(nodeid)
        return ONE_STACK if _shares_the_stack(path) else path


@cache
def _shares_the_stack(path: str) -> bool:
    return path.startswith(ONE_STACK) and not STARTS_ITS_OWN.search((PROJECT / path).read_text(encoding="utf-8"))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesSideBySide:
    return FilesSideBySide(config, log)


@pytest.fixture(scope="session")
def figure() -> Callable[[str], None]:
    """Notes a line that is printed when all tests are over."""
    return _figures.append


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the figures over to the process that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = _figures


def pytest_testnodedown(node: Any) -> None:
    _figures.extend(getattr(node, "workeroutput", {}).get("figures", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _figures:
        terminalreporter.write_line(line)
