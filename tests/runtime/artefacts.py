"""What `sam build` made, by processor. `make artefacts` makes it."""

from __future__ import annotations

from pathlib import Path

from local.stack import PROJECT

SAM_BUILDS = {"x86_64": PROJECT / ".aws-sam" / "build", "arm64": PROJECT / ".aws-sam" / "arm64" / "build"}


def size_bytes(folder: Path) -> int:
    """The sum of all files below a folder, as Lambda counts against its limit of 250 MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
