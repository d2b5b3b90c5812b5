"""docs/events.md: the commands that show an event without an account, as they stand there."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from local.instructions import write_profile
from tests.e2e import sounds
from tests.e2e.service import REQUEST_SECONDS, Service

DOCS = Path(__file__).parents[2] / "docs"
QUEUE = (DOCS / "events.md").read_text(encoding="utf-8").partition("\n## To a queue\n")[2].partition("\n## ")[0]


def test_an_event_is_seen_in_a_queue_of_ones_own(service: Service, tmp_path: Path) -> None:
    deploy, listen = re.findall(r"^```sh\n(.*?)^```", QUEUE, re.DOTALL | re.MULTILINE)
    deploy = re.sub(r"UploadBucket=\S+", "UploadBucket=$UPLOADS", deploy)
    deploy = re.sub(r"--region \S+", "--region $AWS_REGION", deploy)
    write_profile(service.stack.access, tmp_path)
    sounds.song(tmp_path / "song.wav")
    (tmp_path / "docs").symlink_to(DOCS)
    commands = f"source ./env\n{deploy}\n{listen}"

    done = subprocess.run(
        ["timeout", str(REQUEST_SECONDS), "bash", "-e", "-c", commands],
        cwd=tmp_path,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    [message] = json.loads(done.stdout[done.stdout.index("\n{") :])["Messages"]
    event = json.loads(message["Body"])
    service.remember(event["detail"]["link"])
    assert (event["detail-type"], event["detail"]["upload_key"]) == ("Job Ready", "to-the-queue.wav")
    service.delete(event["detail"]["job"]["id"])
    service.stack.aws.client("cloudformation").delete_stack(StackName="audio-queue")
