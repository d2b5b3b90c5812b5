"""The commands of README.md and docs/, as they stand there, typed into a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e import sounds
from tests.e2e.service import REQUEST_SECONDS, Service

PROJECT = Path(__file__).resolve().parents[2]


def section(heading: str, document: str = "README.md") -> str:
    """What stands below a heading of the second level."""
    text = (PROJECT / document).read_text(encoding="utf-8")
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def commands(heading: str, document: str = "README.md") -> list[str]:
    """The blocks of commands below a heading."""
    return re.findall(r"^```sh\n(.*?)^```", section(heading, document), re.DOTALL | re.MULTILINE)


def shell(service: Service, folder: Path, *blocks: str, **variables: str) -> str:
    """Run blocks of commands in bash, in a folder with a song.wav; returns what they print."""
    if not (folder / "song.wav").exists():
        sounds.song(folder / "song.wav", seconds=2)
    access = service.stack.access
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "NO_PROXY": "*",
        "API": access.api_url,
        "UPLOADS": access.upload_bucket,
        "AWS_ACCESS_KEY_ID": access.access_key_id,
        "AWS_SECRET_ACCESS_KEY": access.secret_access_key,
        "AWS_REGION": access.region,
        "AWS_DEFAULT_REGION": access.region,
        "AWS_ENDPOINT_URL": access.endpoint_url,
        **variables,
    }
    command = ["timeout", str(REQUEST_SECONDS), "bash", "-e", "-c", "\n".join(blocks)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    service.remember(*re.findall(r'https?://[^"\s]+', done.stdout))
    assert done.returncode == 0, done.stderr
    return done.stdout
