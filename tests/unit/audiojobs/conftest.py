from __future__ import annotations

import pytest

from audiojobs.store import JobStore
from tests.unit.cloud import Cloud


@pytest.fixture
def store(cloud: Cloud) -> JobStore:
    return cloud.store
