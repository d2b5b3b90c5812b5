"""What `sam local` needs in order to run the functions in containers against the embedded AWS."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.deployment import Aws, Stack
from local.relay import Relay
from local.sample import write_sample
from local.stack import EmbeddedAws, write_private

FUNCTIONS_USER = "functions"
EXAMPLE_KEY = "recordings/my first song (take 1).wav"
"""The upload that tests/events/s3-put.json tells of."""

_LAMBDA_STAND_INS = {"PATH", "PYTHONPATH", "TMPDIR"}


@dataclass(frozen=True, slots=True)
class SamLocal:
    """The files for `sam local`: `environment` for its option --env-vars, `keys` to source in the shell before it."""

    environment: Path
    keys: Path


@contextmanager
def serving(stack: EmbeddedAws, address: str, folder: Path) -> Iterator[SamLocal]:
    """Open the embedded AWS to containers at `address`, for as long as the context lasts, and write the files."""
    relay = Relay(address, int(stack.access.endpoint_url.rpartition(":")[2]))
    files = SamLocal(folder / "sam-env.json", folder / "sam-keys")
    try:
        write_private(files.environment, json.dumps(environment(stack, relay.url), indent=2) + "\n")
        access_key_id, secret_access_key = create_functions_user(stack.admin, stack.stack)
        variables = {
            "AWS_ACCESS_KEY_ID": access_key_id,
            "AWS_SECRET_ACCESS_KEY": secret_access_key,
            "AWS_REGION": stack.access.region,
            "AWS_DEFAULT_REGION": stack.access.region,
        }
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        write_private(files.keys, "\n".join([*lines, "unset AWS_PROFILE AWS_SESSION_TOKEN", ""]))
        upload_example(stack, folder)
        yield files
    finally:
        relay.stop()
        files.environment.unlink(missing_ok=True)
        files.keys.unlink(missing_ok=True)


def environment(stack: EmbeddedAws, endpoint_url: str) -> dict[str, dict[str, str]]:
    """Every function's variables, by logical id, with addresses as a container sees them.

    Links in results keep the API's address on this machine, because they are for people. The API itself finds its
    address in each request, as it is another one with `sam local start-api`.
    """
    port = stack.access.endpoint_url.rpartition(":")[2]
    found = {}
    for logical_id in stack.access.functions:
        properties = stack.stack.deployment.resolve(stack.stack.template["Resources"][logical_id]["Properties"])
        found[logical_id] = {
            name: re.sub(rf"^http://(127\.0\.0\.1|localhost):{port}\b", endpoint_url, str(value))
            for name, value in properties["Environment"]["Variables"].items()
            if name not in _LAMBDA_STAND_INS
        }
        found[logical_id]["PUBLIC_URL"] = stack.access.api_url if logical_id == "ResampleFunction" else ""
    return found


def create_functions_user(aws: Aws, stack: Stack) -> tuple[str, str]:
    """A user who may do what the functions' roles may do together: `sam local` gives a container the caller's own keys.

    Returns access key id and secret access key.
    """
    iam = aws.client("iam")
    iam.create_user(UserName=FUNCTIONS_USER)
    for logical_id, resource in stack.template["Resources"].items():
        if resource["Type"] != "AWS::IAM::Role":
            continue
        role = stack.physical_id(logical_id)
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            iam.put_user_policy(
                UserName=FUNCTIONS_USER, PolicyName=f"{logical_id}-{name}", PolicyDocument=json.dumps(document)
            )
    key = iam.create_access_key(UserName=FUNCTIONS_USER)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def upload_example(stack: EmbeddedAws, folder: Path) -> None:
    """Put a sample where the example event says that an upload is."""
    sample = write_sample(folder / "sample.wav")
    stack.aws.client("s3").put_object(
        Bucket=stack.access.upload_bucket, Key=EXAMPLE_KEY, Body=sample.read_bytes(), ContentType="audio/wav"
    )
