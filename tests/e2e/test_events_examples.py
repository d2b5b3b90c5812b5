"""docs/events.md: the commands that show an event without an account, as they stand there."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from local.instructions import write_profile
from tests.e2e import sounds
from tests.e2e.service import REQUEST_SECONDS, Service

DOCS = Path(__file__).parents[2] / "docs"
QUEUE = (DOCS / "events.md").read_text(encoding="utf-8").partition("\n## To a queue\n")[2].partition("\n## ")[0]


def received(commands: str, folder: Path) -> Any:
    """The event in the message that the last of the commands prints."""
    done = subprocess.run(
        ["timeout", str(REQUEST_SECONDS), "bash", "-e", "-c", f"source ./env\n{commands}"],
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [message] = json.loads(done.stdout[done.stdout.index("{\n") :])["Messages"]
    return json.loads(message["Body"])


def test_an_event_is_seen_in_a_queue_of_ones_own(service: Service, tmp_path: Path) -> None:
    deploy, listen = re.findall(r"^```sh\n(.*?)^```", QUEUE, re.DOTALL | re.MULTILINE)
    deploy = re.sub(r"UploadBucket=\S+", "UploadBucket=$UPLOADS", deploy)
    deploy = re.sub(r"--region \S+", "--region $AWS_REGION", deploy)
    write_profile(service.stack.access, tmp_path)
    sounds.song(tmp_path / "song.wav")
    (tmp_path / "docs").symlink_to(DOCS)
    find_queue, _, receive = re.split(r"(^aws s3 cp .*\n)", listen, flags=re.MULTILINE)

    event = received(f"{deploy}\n{listen}", tmp_path)
    while event["detail"]["upload_key"] != "to-the-queue.wav":  # of a job of the tests before
        event = received(f"{find_queue}\n{receive}", tmp_path)

    service.remember(event["detail"]["link"])
    assert (event["detail-type"], event["detail"]["upload_key"]) == ("Job Ready", "to-the-queue.wav")
    service.delete(event["detail"]["job"]["id"])
    service.stack.aws.client("cloudformation").delete_stack(StackName="audio-queue")
