"""What `make serve` prints: addresses, and commands to copy."""

from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import urlsplit

from local.sam_local import SamLocal
from local.stack import PROJECT, StackAccess, write_private

PROFILE, S3CMD_CONFIG = "env", "s3cfg"


def write_profile(access: StackAccess, folder: Path) -> Path:
    """Write a file to source in a shell: keys, region and endpoint, as clients of S3 read them. Returns its path."""
    s3cmd_config = folder / S3CMD_CONFIG
    write_private(s3cmd_config, _s3cmd_config(access))
    variables = {
        "AWS_ACCESS_KEY_ID": access.access_key_id,
        "AWS_SECRET_ACCESS_KEY": access.secret_access_key,
        "AWS_REGION": access.region,
        "AWS_DEFAULT_REGION": access.region,
        "AWS_ENDPOINT_URL": access.endpoint_url,
        "API": access.api_url,
        "UPLOADS": access.upload_bucket,
        "RESULTS": access.result_bucket,
        "S3_ENDPOINT_URL": access.endpoint_url,  # s5cmd
        "RCLONE_S3_ENDPOINT": access.endpoint_url,
        "RCLONE_S3_PROVIDER": "Other",  # the provider AWS has the bucket in the host's name
        "S3CMD_CONFIG": str(s3cmd_config),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    # The aws CLI of `make aws`, or of the tests, where the machine has none of its own.
    folders = ":".join(shlex.quote(str(PROJECT / name / "bin")) for name in (".venv-aws", ".venv"))
    programs = f'export PATH="$PATH":{folders}'
    path = folder / PROFILE
    write_private(path, "\n".join([*lines, programs, "unset AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE", ""]))
    return path


def remove_profile(folder: Path) -> None:
    """Remove what `write_profile` wrote."""
    for name in (PROFILE, S3CMD_CONFIG):
        (folder / name).unlink(missing_ok=True)


def _s3cmd_config(access: StackAccess) -> str:
    """The address, with buckets as parts of the path. The keys come from the environment."""
    host = urlsplit(access.endpoint_url).netloc
    lines = [f"host_base = {host}", f"host_bucket = {host}", f"bucket_location = {access.region}", "use_https = False"]
    return "\n".join(["[default]", *lines, ""])


def instructions(access: StackAccess, stack_file: Path, profile: Path, page: str, sample: Path) -> str:
    """The text for a person who wants to try the service, in a browser or from another shell.

    `page` is the link of a new job, `sample` a file for those who have none at hand.
    """
    return f"""
The service is up. Stop it with Ctrl-C: then its files, jobs, links and keys are gone. The sample, the logs and what was
built stay in {shlex.quote(str(sample.parent))}.

  page          {page}
                (for one file: drop it there, download once)
  API           {access.api_url}
  uploads       s3://{access.upload_bucket}
  results       s3://{access.result_bucket}
  endpoint      {access.endpoint_url}
  everything    {stack_file}
  logs          {access.log_folder}
  a sample      {sample}

In another shell, first:

  source {shlex.quote(str(profile))}
  signed() {{ curl -sS --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
                  --aws-sigv4 "aws:amz:$AWS_REGION:execute-api" "$@"; }}

Upload straight to the bucket (no aws CLI? `make aws` installs one), look, ask for the link:

  aws s3 cp song.wav "s3://$UPLOADS/song.wav"
  signed "$API/jobs?upload_key=song.wav"
  signed -X POST "$API/jobs/ID/link"

Or through the API, which gives a presigned URL and the link at once:

  signed "$API/jobs" -H 'Content-Type: application/json' -d '{{"filename": "song.wav"}}'
  curl --fail-with-body -T song.wav "UPLOAD_URL"

Then whoever has the link downloads once, in a browser, or so (if it breaks off, the last line again):

  KEY=$RANDOM-$RANDOM-$RANDOM-mine
  curl -fL -d '' -H "Idempotency-Key: $KEY" -o song.32k.mp3 "LINK"
"""


def sam_instructions(files: SamLocal) -> str:
    """The text for a person who wants to run the functions with SAM, in containers."""
    variables = shlex.quote(str(files.environment))
    return f"""
Functions in containers, as SAM runs them: `make build`, then in another shell

  source {shlex.quote(str(files.keys))}
  .venv-sam/bin/sam local invoke ResampleFunction -e tests/events/s3-put.json --env-vars {variables}
  .venv-sam/bin/sam local start-api --env-vars {variables}
"""
