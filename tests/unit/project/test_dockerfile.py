"""The container recipe: what compiles the layer is in it, and nothing that was built on the host."""

from __future__ import annotations

import importlib
import re
import socket
from pathlib import Path
from types import ModuleType

import pytest

from local.errors import EmulatorError
from local.relay import own_address

PROJECT = Path(__file__).resolve().parents[3]
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
OF_ANY_DEBIAN = {"xz-utils"}


@pytest.fixture
def debian(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT / "layers" / "ffmpeg"))
    return importlib.import_module("debian")


def test_everything_that_compiles_the_layer_is_installed(debian: ModuleType) -> None:
    [packages] = re.findall(r"--no-install-recommends \\\n\s+(.*?) \\\n", DOCKERFILE)

    assert {*debian.TOOL_PACKAGES.values(), debian.ARCHIVE_KEYS, "libc6-dev"} <= set(packages.split())
    assert debian.SUITE in re.findall(r"(?m)^FROM debian:(\w+)", DOCKERFILE)


def test_what_was_built_on_the_host_stays_there() -> None:
    ignored = set((PROJECT / ".dockerignore").read_text().split())

    of_git = {line.strip("/") for line in (PROJECT / ".gitignore").read_text().split()}
    assert not {name for name in of_git if not name.startswith((".venv-", "__pycache__", "*.egg-info"))} - ignored
    assert {".git", ".venv-*", "**/__pycache__"} <= ignored


@pytest.mark.parametrize(("address", "is_taken"), [("10.88.0.7", True), ("127.0.1.1", False)])
def test_a_published_port_is_served_at_the_address_of_the_container(
    monkeypatch: pytest.MonkeyPatch, address: str, is_taken: bool
) -> None:
    monkeypatch.setattr(socket, "gethostbyname", lambda _: address)

    if is_taken:
        assert own_address() == address
    else:
        with pytest.raises(EmulatorError, match="leave out --published"):
            own_address()
