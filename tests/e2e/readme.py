"""The commands of README.md and docs/, as they stand there, typed into a shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from local.instructions import write_profile
from tests.e2e import sounds
from tests.e2e.service import REQUEST_SECONDS, Service

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLE_CLIENT = PROJECT / "docs" / "examples" / "client.py"


def section(heading: str, document: str = "README.md") -> str:
    """What stands below a heading of the second level."""
    text = (PROJECT / document).read_text(encoding="utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def commands(heading: str, document: str = "README.md") -> list[str]:
    """The blocks of commands below a heading."""
    return blocks("sh", heading, document)


def blocks(language: str, heading: str, document: str) -> list[str]:
    """The blocks of code below a heading."""
    return re.findall(rf"^```{language}\n(.*?)^```", section(heading, document), re.DOTALL | re.MULTILINE)


def shell(service: Service, folder: Path, *blocks: str, **variables: str) -> str:
    """Run blocks of commands in bash, in a folder with a song.wav; returns what they print.

    They find what `source .local/env` gives, and `variables` on top of that.
    """
    if not (folder / "song.wav").exists():
        sounds.song(folder / "song.wav", seconds=2)
    profile = write_profile(service.stack.access, folder / ".local")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "NO_PROXY": "*",
    }
    given = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    script = "\n".join([f"source {shlex.quote(str(profile))}", *given, *blocks])
    command = ["timeout", str(REQUEST_SECONDS), "bash", "-e", "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    service.remember(*re.findall(r'https?://[^"\s]+', done.stdout))
    assert done.returncode == 0, done.stderr
    return done.stdout


def client_environment(service: Service) -> dict[str, str]:
    """What the example client reads, and nothing else."""
    access = service.stack.access
    return {
        "API": access.api_url,
        "AWS_ACCESS_KEY_ID": access.access_key_id,
        "AWS_SECRET_ACCESS_KEY": access.secret_access_key,
        "AWS_DEFAULT_REGION": access.region,
        "PATH": os.environ["PATH"],
        "NO_PROXY": "*",
    }
