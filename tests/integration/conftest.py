"""Everything here runs the ffmpeg of the layer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.audio.programs import layer_first_on_path


@pytest.fixture(scope="session", autouse=True)
def programs() -> Iterator[None]:
    with layer_first_on_path():
        yield
