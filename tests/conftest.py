"""What all tests share: how they are spread over processes, and the figures that they print at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

# How long a single example takes says more about the neighbours than about the code.
hypothesis.settings.register_profile("side by side", deadline=None)
hypothesis.settings.load_profile("side by side")

ONE_STACK = "tests/e2e/"
STACKS_OF_THEIR_OWN = {
    f"{ONE_STACK}test_{name}.py" for name in ("commands", "least_privilege", "other_parameters", "redrive")
}

_figures: list[str] = []


class FilesSideBySide(LoadFileScheduling):  # type: ignore[misc]
    """A file stays in one process, and so do all that use the one end-to-end stack, whose last tests see the whole."""

    def _split_scope(self, nodeid: str) -> str:
        path: str = super()._split_scope(nodeid)
        return ONE_STACK if path.startswith(ONE_STACK) and path not in STACKS_OF_THEIR_OWN else path


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
