"""Everything here runs the ffmpeg of the layer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audio.programs import layer_first_on_path


@pytest.fixture(scope="session", autouse=True)
def programs() -> Iterator[None]:
    with layer_first_on_path():
        yield


@pytest.fixture
def no_new_children() -> Iterator[None]:
    """Every process that the test started has ended, and was waited for; those of other tests may go on."""
    before = children()
    yield
    assert children() <= before


def children() -> set[str]:
    """Ids of the processes that this one has started, ended ones that nobody has waited for included."""
    return {child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()}
