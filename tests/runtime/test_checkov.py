"""checkov finds nothing in the template but what .checkov.yaml excepts, with a reason, and asks nobody on the net."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from local.stack import PROJECT

CHECKOV = PROJECT / ".venv-checkov" / "bin" / "checkov"
CONFIG = PROJECT / ".checkov.yaml"


@pytest.fixture
def proxy() -> Iterator[socket.socket]:
    """Where a program that obeys the usual variables would turn to on its way out."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def test_the_exceptions_are_all_that_it_finds_and_each_is_needed(tmp_path: Path, proxy: socket.socket) -> None:
    assert CHECKOV.exists(), f"type: make {CHECKOV.parent.parent.name}/installed"
    config = yaml.safe_load(CONFIG.read_text())
    exceptions = config.pop("skip-check")
    without_exceptions = tmp_path / "checkov.yaml"
    config |= {"file": [str(PROJECT / name) for name in config["file"]], "output": ["json"], "soft-fail": True}
    without_exceptions.write_text(yaml.safe_dump(config))
    address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
        "http_proxy": address,
        "https_proxy": address,
    }

    done = subprocess.run(
        [CHECKOV, "--config-file", without_exceptions],
        cwd=tmp_path,  # in the project's folder it would read .checkov.yaml too
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {check["check_id"] for check in report["results"]["failed_checks"]} == set(exceptions)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 20
    with pytest.raises(BlockingIOError):
        proxy.accept()


def test_every_exception_has_a_reason() -> None:
    blocks = CONFIG.read_text().partition("skip-check:\n")[2].split("\n\n")

    for block in blocks:
        lines = [line.strip() for line in block.splitlines() if line.strip()]
        assert lines[0].startswith("# "), "a group begins with what its exceptions have in common"
        assert all(re.fullmatch(r"- CKV_AWS_\d+( # .+)?", line) for line in lines if not line.startswith("#"))
