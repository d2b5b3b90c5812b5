"""`make bench-jobs`: a job's whole way on the embedded AWS, against what one would type by hand.

From the end of the upload until the job reads ``ready``, in functions that are warm. By hand that is, on the same
stack: ``aws s3 cp`` from a bucket, the stock ffmpeg, ``aws s3 cp`` into a bucket.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import imageio_ffmpeg
import rich.console

from local import artefacts, template
from local.service_client import ServiceClient
from local.stack import PROJECT, STATE_FOLDER, EmbeddedAws
from tests.bench import document
from tests.bench.recordings import FOLDER, JOB_LENGTHS, job_recordings

RESULTS = Path(__file__).with_name("whole_way.json")
AWS = PROJECT / ".venv-aws" / "bin" / "aws"

RUNS = 5
HANDS_BUCKET = "by-hand"
LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 300
ENDED = ("ready", "failed")


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack, and its owner's ways to it."""

    aws: EmbeddedAws
    client: ServiceClient

    def job(self, file: Path) -> float:
        """Upload a file as a job of the API. Returns the seconds from the end of the upload until it was ready."""
        created = self.client.create_job(file.name, file.stat().st_size)
        self.client.put_file(created["upload"], file, lambda _: None)
        uploaded = time.monotonic()
        while (status := self._status(created["id"])) not in ENDED:
            if time.monotonic() > uploaded + PATIENCE_SECONDS:
                raise TimeoutError(f"{file.name} is still {status}")
            time.sleep(LOOK_SECONDS)
        taken = time.monotonic() - uploaded
        if status != "ready":
            raise RuntimeError(f"{file.name} ended {status}")
        return taken

    def by_hand(self, file: Path) -> float:
        """What somebody would do who has the file in a bucket. Returns the seconds that it took."""
        with tempfile.TemporaryDirectory() as name:
            source, mp3 = Path(name) / file.name, Path(name) / "result.mp3"
            started = time.monotonic()
            self._aws("s3", "cp", "--quiet", f"s3://{HANDS_BUCKET}/{file.name}", source)
            convert = ("-nostdin", "-loglevel", "error", "-i", source, "-ar", "32000", "-b:a", "192k", mp3)
            subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *convert], check=True)
            self._aws("s3", "cp", "--quiet", mp3, f"s3://{HANDS_BUCKET}/{mp3.name}")
            return time.monotonic() - started

    def place_for_hands(self, file: Path) -> None:
        """Put a file where :meth:`by_hand` finds it, and no function takes it for a job."""
        s3 = self.aws.admin.client("s3")
        s3.create_bucket(Bucket=HANDS_BUCKET)
        s3.upload_file(str(file), HANDS_BUCKET, file.name)

    def _status(self, job_id: str) -> str:
        table = self.aws.admin.client("dynamodb")
        item = table.get_item(TableName=self.aws.access.jobs_table, Key={"id": {"S": job_id}}, ConsistentRead=True)
        return str(item["Item"]["status"]["S"])

    def _aws(self, *arguments: str | Path) -> None:
        subprocess.run([AWS, *arguments], env=os.environ | self.aws.admin.variables, check=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make bench-jobs", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of {', '.join(JOB_LENGTHS)}; default: all")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each way; the first job of a case warms up")
    chosen = parser.parse_args(arguments)
    out = rich.console.Console(width=None if sys.stdout.isatty() else 120)
    files = {case: file for case, file in job_recordings(FOLDER).items() if case in (chosen.cases or JOB_LENGTHS)}
    built = STATE_FOLDER / "bench" / "build"
    artefacts.build(template.load(PROJECT / "template.yaml"), PROJECT, built)
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedAws(
            state_folder=Path(folder), sam_build_folder=built, write_stack_file=False, event_delay_seconds=0.0
        ) as aws,
    ):
        stack = Stack(aws, ServiceClient(aws.access))
        found = {
            case: measure(stack, file, chosen.runs, lambda told: out.print(f"[dim]{told}[/dim]"))
            for case, file in files.items()
        }
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    made = {case: (known | found)[case] for case in JOB_LENGTHS if case in known | found}
    RESULTS.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    document.put("bench-jobs", markdown(made))
    out.print(markdown(made))
    return 0


def measure(stack: Stack, file: Path, runs: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Medians in seconds of both ways, which take turns."""
    stack.place_for_hands(file)
    stack.job(file)
    jobs, hands = [], []
    for turn in range(1, runs + 1):
        jobs.append(stack.job(file))
        hands.append(stack.by_hand(file))
        tell(f"{file.name} {turn}/{runs}  job: {jobs[-1]:.2f} s, by hand: {hands[-1]:.2f} s")
    return {"job_seconds": round(median(jobs), 3), "by_hand_seconds": round(median(hands), 3), "runs": runs}


def markdown(results: Mapping[str, Mapping[str, float]]) -> str:
    """The table of docs/costs.md."""
    lines = ["| file | job, s | by hand, s | ratio |", "|---|---:|---:|---:|"]
    for case, figures in results.items():
        job, hands = figures["job_seconds"], figures["by_hand_seconds"]
        lines.append(f"| {case} | {job:.2f} | {hands:.2f} | {job / hands:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
