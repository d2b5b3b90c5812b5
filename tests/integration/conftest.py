"""Everything here runs the ffmpeg of the layer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.audio.programs import layer_first_on_path
from tests.integration.processes import children


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
