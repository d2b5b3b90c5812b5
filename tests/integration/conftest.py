"""Everything here runs the ffmpeg of the layer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audio.programs import bin_dir_as_made, layer_first_on_path
from tests.integration.processes import children


@pytest.fixture(scope="session", autouse=True)
def programs() -> Iterator[None]:
    with layer_first_on_path():
        yield


@pytest.fixture(scope="session")
def bin_dir() -> Path:
    return Path(bin_dir_as_made().rstrip("\n"))


@pytest.fixture(scope="session")
def own_bin_dir(bin_dir: Path) -> Path:
    """The layer's own build, with its lame-frames; skips where the machine could not build it."""
    if not (bin_dir.parent / "share/ffmpeg-layer/versions.txt").is_file():
        pytest.skip(f"the layer could not be built here; {bin_dir} is in use")
    return bin_dir


@pytest.fixture
def no_new_children() -> Iterator[None]:
    """Every process that the test started has ended, and was waited for; those of other tests may go on."""
    before = children()
    yield
    assert children() <= before
