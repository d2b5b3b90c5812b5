"""What `make serve CONTAINERS=yes` gives `sam local`: a way in, the functions' variables, keys with their rights."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from local.deployment import Aws
from local.emulator import HOST, reserved_port
from local.errors import EmulatorError
from local.relay import Relay
from local.sam_local import EXAMPLE_KEY, SamLocal, serving
from local.stack import EmbeddedAws
from tests.runtime.functions import example

ADDRESS = "127.0.0.2"  # this machine's too, and the embedded AWS does not listen on it


@pytest.fixture(scope="module")
def files(stack: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SamLocal]:
    folder = tmp_path_factory.mktemp("state")
    with serving(stack, ADDRESS, folder) as files:
        yield files
    assert not files.environment.exists()
    assert not files.keys.exists()


@pytest.fixture(scope="module")
def container(stack: EmbeddedAws, files: SamLocal) -> Aws:
    """The services as a function in a container reaches them."""
    shown = subprocess.run(["sh", "-c", '. "$1"; env', "sh", files.keys], capture_output=True, text=True, check=True)
    keys = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    endpoint_url = json.loads(files.environment.read_text())["ResampleFunction"]["AWS_ENDPOINT_URL"]
    assert endpoint_url.startswith(f"http://{ADDRESS}:")
    return Aws(endpoint_url, stack.access.region, keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"])


def test_every_variable_of_the_template_is_given(stack: EmbeddedAws, files: SamLocal) -> None:
    given = json.loads(files.environment.read_text())

    assert set(given) == {"ResampleFunction", "ApiFunction", "PurgeFunction"}
    for logical_id, variables in given.items():
        declared = stack.stack.template["Resources"][logical_id]["Properties"]["Environment"]["Variables"]
        assert set(declared) - set(variables) <= {"PATH", "PYTHONPATH", "TMPDIR"}
        assert all(isinstance(value, str) for value in variables.values())
        assert not any("localhost" in value for name, value in variables.items() if name != "PUBLIC_URL")


def test_only_the_owner_can_read_the_files(files: SamLocal) -> None:
    for path in (files.environment, files.keys):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_example_event_tells_of_an_upload_that_is_there(stack: EmbeddedAws, container: Aws) -> None:
    record = example("s3-put")["Records"][0]["s3"]

    assert record["bucket"]["name"] == stack.access.upload_bucket
    found = container.client("s3").get_object(Bucket=stack.access.upload_bucket, Key=EXAMPLE_KEY)
    assert found["Body"].read(4) == b"RIFF"
    assert found["ContentLength"] == record["object"]["size"]


def test_the_keys_have_the_rights_of_the_functions_and_no_others(stack: EmbeddedAws, container: Aws) -> None:
    results = stack.access.result_bucket
    container.client("s3").put_object(Bucket=results, Key="song/1.mp3", Body=b"data" * 100_000)
    container.client("s3").delete_object(Bucket=results, Key="song/1.mp3")

    with pytest.raises(ClientError, match="AccessDenied"):
        container.client("dynamodb").delete_table(TableName=stack.access.jobs_table)
    with pytest.raises(ClientError, match="AccessDenied"):
        container.client("s3").delete_bucket(Bucket=results)


def test_a_port_that_is_taken_is_refused_in_words(stack: EmbeddedAws, files: SamLocal) -> None:
    port = int(stack.access.endpoint_url.rpartition(":")[2])

    with pytest.raises(EmulatorError, match=rf"Containers can't be served at {ADDRESS}:{port}: Address already in use"):
        Relay(ADDRESS, port)


def test_a_port_is_kept_for_the_emulator_until_it_listens() -> None:
    with reserved_port() as port:
        with socket.socket() as somebody_else, pytest.raises(OSError, match="Address already in use"):
            somebody_else.bind((HOST, port))

        with (
            socket.create_server((HOST, port)),
            pytest.raises(EmulatorError, match=f"Port {port} can't be had"),
            reserved_port(port),
        ):
            pass
