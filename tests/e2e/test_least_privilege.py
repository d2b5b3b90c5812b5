"""Each function does its work with its role's rights, and with any one statement less it does not.

The functions run in this process with the credentials of their deployed roles, and the embedded AWS judges each call by
the role's policy as it is at that moment. Two things it judges more kindly than AWS: it tells everybody that an object
does not exist, where S3 tells only those who may list the bucket (`StrictAboutMissingObjects` makes up for that), and
what Lambda itself does in a role's name it does not check (`LAMBDAS_OWN`, not tested here).
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.exceptions import ConnectionClosedError

import api.app
import purge.app
import resample.app
from audiojobs import clients, telemetry
from audiojobs.errors import InternalError
from audiojobs.job import Job, MultipartUpload, Status, direct_job_id
from audiojobs.multipart import MIN_PART_BYTES
from audiojobs.objects import ResultObjects
from audiojobs.store import JobStore
from local import template as templates
from local.stack import PROJECT, EmbeddedAws
from tests.audio.synth import sine, wav_bytes
from tests.e2e.service import REQUEST_SECONDS
from tests.stacks import silent_stack
from tests.unit.gateway import Answer, Api, FakeLambdaContext
from tests.unit.samples import api_job, direct_job, linked

MODULES = {"ResampleFunction": resample.app, "ApiFunction": api.app, "PurgeFunction": purge.app}
TEMPLATE = templates.load(PROJECT / "template.yaml")
STATEMENTS = [
    (name, statement["Sid"])
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
    for policy in resource["Properties"]["Policies"]
    for statement in policy["Statement"]
    if statement["Effect"] == "Allow"
]

# What roles have beyond the template's statements: SAM adds it for Lambda itself. The embedded AWS writes logs and
# delivers messages without asking the role, so none of this is tested.
LAMBDAS_OWN = {
    "AWSLambdaBasicExecutionRole": "Lambda writes the functions' logs",
    "AWSXrayWriteOnlyAccess": "Lambda writes the functions' traces",
    "AWSLambdaSQSQueueExecutionRole": "Lambda receives and deletes the messages of the purge queue",
    "ResampleFunctionEventInvokeConfigOnFailureSQSPolicy": "Lambda puts failed events into their queue",
}

EXAMPLE_PURGE = PROJECT / "tests" / "events" / "sqs-purge.json"
WINDOW_SECONDS = 900
MULTIPART_BYTES = 9_000_000


class StrictAboutMissingObjects:
    """Turns the embedded S3's 404 into the 403 that S3 gives whoever may not list the bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html, Permissions
    """

    def __init__(self, stack: EmbeddedAws, role_arn: str) -> None:
        self._iam = stack.admin.client("iam")
        self._role_arn = role_arn

    def __call__(self, http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
        status = parsed["ResponseMetadata"]["HTTPStatusCode"]
        bucket = http_response.url.split("/")[3]
        if status == 404 and not self._may_list(bucket):
            parsed["ResponseMetadata"]["HTTPStatusCode"] = http_response.status_code = 403
            parsed["Error"] = {"Code": "403", "Message": "Forbidden"}

    def _may_list(self, bucket: str) -> bool:
        answer = self._iam.simulate_principal_policy(
            PolicySourceArn=self._role_arn, ActionNames=["s3:ListBucket"], ResourceArns=[f"arn:aws:s3:::{bucket}"]
        )
        return bool(answer["EvaluationResults"][0]["EvalDecision"] == "allowed")


@dataclass(slots=True)
class Function:
    """One function with its role, and what tests need to set a scene and look at the outcome."""

    stack: EmbeddedAws
    logical_id: str
    folder: Path
    denied: list[str] = field(default_factory=list)
    """Operations that AWS refused for want of a right."""

    @property
    def uploads(self) -> str:
        return self.stack.access.upload_bucket

    @property
    def results(self) -> str:
        return self.stack.access.result_bucket

    @property
    def s3(self) -> Any:
        return self.stack.admin.client("s3")

    @property
    def store(self) -> JobStore:
        return JobStore(self.stack.admin.client("dynamodb"), self.stack.access.jobs_table)

    @property
    def role(self) -> str:
        return self.stack.stack.physical_id(f"{self.logical_id}Role")

    def invoke(self, event: Any) -> Any:
        context = FakeLambdaContext(aws_request_id=str(uuid.uuid4()), remaining_milliseconds=900_000)
        return MODULES[self.logical_id].lambda_handler(event, context)

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        return Api(api.app.lambda_handler).call(method, path, body=body, query=query or None)

    def use(self, method: str, url: str, data: bytes | None = None) -> requests.Response:
        """What the holder of a presigned URL does."""
        answer = requests.request(method, url, data=data, timeout=REQUEST_SECONDS)
        if answer.status_code == 403:
            self.denied.append(f"presigned {method}")
        return answer

    def upload(self, key: str, content: bytes = b"not audio") -> str:
        """Put an object into the upload bucket, as its owner; returns the ETag."""
        etag: str = self.s3.put_object(Bucket=self.uploads, Key=key, Body=content)["ETag"]
        return etag

    def result_of(self, job: Job) -> None:
        """Put a result where the job's is."""
        self.s3.put_object(Bucket=self.results, Key=job.result_key, Body=b"mp3")

    def keys(self, bucket: str, prefix: str) -> list[str]:
        listing = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for item in listing.get("Contents", [])]

    def status(self, job_id: str) -> Status:
        job = self.store.get(job_id)
        assert job is not None
        return job.status


Scenario = Callable[[Function], None]

# ---------------------------------------------------------------- what ResampleFunction does


def upload_event(function: Function, key: str, etag: str) -> dict[str, Any]:
    item = {"key": key, "eTag": etag.strip('"'), "sequencer": "0055AED6DCD90281E5"}
    return {"Records": [{"s3": {"bucket": {"name": function.uploads}, "object": item}}]}


@cache
def one_second() -> bytes:
    return wav_bytes(sine(1))


def new_key() -> str:
    return f"{uuid.uuid4().hex}.wav"


def resamples_an_upload(function: Function) -> None:
    key = new_key()
    etag = function.upload(key, one_second())

    job = function.invoke(upload_event(function, key, etag))

    assert job["status"] == "ready"
    assert function.keys(function.results, key)
    assert not function.keys(function.uploads, key)


def finds_that_an_upload_is_gone(function: Function) -> None:
    assert function.invoke(upload_event(function, new_key(), "0" * 32)) is None


def deletes_the_result_of_a_job_that_was_deleted_meanwhile(function: Function) -> None:
    key = new_key()
    etag = function.upload(key, one_second())
    job_id = direct_job_id(function.uploads, key, "0055AED6DCD90281E5")

    def purge_first(**_: Any) -> None:
        function.store.delete(job_id, now=time.time())

    with on(clients.s3(), "before-call.s3.PutObject", purge_first):
        job = function.invoke(upload_event(function, key, etag))

    assert job["status"] == "purged"
    assert not function.keys(function.results, key)


def leaves_no_parts_of_a_result_that_could_not_be_stored(function: Function) -> None:
    key = new_key()
    path = function.folder / key
    path.write_bytes(bytes(MULTIPART_BYTES))

    def break_off(**_: Any) -> None:
        raise ConnectionClosedError(endpoint_url="")

    with on(clients.s3(), "before-call.s3.UploadPart", break_off), pytest.raises(InternalError):
        ResultObjects(clients.s3(), function.results).put(key, path)

    assert "Uploads" not in function.s3.list_multipart_uploads(Bucket=function.results, Prefix=key)


def begun(function: Function, job: Job) -> Job:
    """The job with an upload in parts that was begun as its owner, and one part of it."""
    answer = function.s3.create_multipart_upload(Bucket=function.uploads, Key=job.upload_key)
    upload = {"Bucket": function.uploads, "Key": job.upload_key, "UploadId": answer["UploadId"]}
    function.s3.upload_part(**upload, PartNumber=1, Body=b"part")
    return replace(job, multipart=MultipartUpload(answer["UploadId"], size_bytes=4, part_size_bytes=MIN_PART_BYTES))


def has_no_parts(function: Function, job: Job) -> bool:
    return "Uploads" not in function.s3.list_multipart_uploads(Bucket=function.uploads, Prefix=job.upload_key)


def leaves_no_parts_when_a_whole_file_came_instead(function: Function) -> None:
    job = begun(function, api_job(Status.AWAITING_UPLOAD, expires_at=time.time() + 600))
    function.store.create(job)
    etag = function.upload(job.upload_key, one_second())

    assert function.invoke(upload_event(function, job.upload_key, etag))["status"] == "ready"

    assert has_no_parts(function, job)


@contextmanager
def on(client: Any, event: str, handler: Callable[..., None]) -> Iterator[None]:
    """Call the handler at an event of a client."""
    client.meta.events.register_first(event, handler)
    try:
        yield
    finally:
        client.meta.events.unregister(event, handler)


# ---------------------------------------------------------------- what ApiFunction does


def creates_a_job_that_can_be_uploaded_to(function: Function) -> None:
    created = function.call("POST", "/jobs", {"filename": "song.wav"})

    assert created.status == 201
    upload = created.json()["upload"]
    assert function.use(upload["method"], upload["url"], b"audio").status_code == 200


def takes_an_upload_in_parts(function: Function) -> None:
    path = f"/jobs/{function.call('POST', '/jobs', {'filename': 'song.wav'}).json()['id']}/upload"

    assert function.call("POST", path, {"size_bytes": 5}).status == 200
    part = function.call("POST", f"{path}/parts", {"numbers": [1]}).json()["parts"][0]
    assert function.use(part["method"], part["url"], b"audio").status_code == 200
    assert function.call("POST", f"{path}/complete").status == 200


def gives_an_upload_in_parts_up(function: Function) -> None:
    job = begun(function, api_job(Status.AWAITING_UPLOAD, expires_at=time.time() + 600))
    function.store.create(job)

    assert function.call("DELETE", f"/jobs/{job.id}/upload").status == 204

    assert has_no_parts(function, job)


def shows_a_job(function: Function) -> None:
    job = api_job()
    function.store.create(job)

    assert function.call("GET", f"/jobs/{job.id}").status == 200


def lists_the_jobs_of_an_upload(function: Function) -> None:
    job = direct_job(Status.READY, upload_key=new_key())
    function.store.create(job)

    listed = function.call("GET", "/jobs", upload_key=job.upload_key)

    assert [found["id"] for found in listed.json()["jobs"]] == [job.id]


def lists_the_jobs_of_a_reference_and_in_a_state(function: Function) -> None:
    job = api_job(Status.READY, reference=new_key())
    function.store.create(job)

    for query in ({"reference": job.reference or ""}, {"status": "ready"}):
        listed = function.call("GET", "/jobs", **query)

        assert job.id in [found["id"] for found in listed.json()["jobs"]]


def grants_a_claim(function: Function) -> None:
    job, token = linked(api_job(Status.READY))
    function.store.create(job)
    function.result_of(job)

    claimed = function.call("POST", f"/d/{token}")

    assert claimed.status == 303
    assert function.use("GET", claimed.headers["Location"]).content == b"mp3"
    record = function.store.get(job.id)
    assert record is not None
    assert record.announced


def deletes_a_job_with_all_that_it_has(function: Function) -> None:
    job = api_job(Status.READY)
    function.upload(job.upload_key)
    deletes(function, job)


def deletes_a_job_whose_upload_is_there(function: Function) -> None:
    key = new_key()
    etag = function.upload(key)
    # S3 dates objects by whole seconds: the job is younger than its upload.
    deletes(function, direct_job(Status.READY, upload_key=key, upload_etag=etag, created_at=time.time() + 1))


def deletes_a_job_whose_upload_is_gone(function: Function) -> None:
    deletes(function, direct_job(Status.READY, upload_key=new_key(), upload_etag='"0"'))


def deletes(function: Function, job: Job) -> None:
    function.store.create(job)
    function.result_of(job)

    assert function.call("DELETE", f"/jobs/{job.id}").status == 204

    assert not function.keys(function.uploads, job.upload_key)
    assert not function.keys(function.results, job.upload_key)


# ---------------------------------------------------------------- what PurgeFunction does


def purges_what_was_downloaded(function: Function) -> None:
    job = api_job(Status.CLAIMED, purge_at=time.time() - 1)
    sweeps(function, job)
    assert function.status(job.id) is Status.PURGED


def comes_back_when_the_window_ends(function: Function) -> None:
    job = api_job(Status.CLAIMED, purge_at=time.time() + WINDOW_SECONDS)
    function.store.create(job)
    function.result_of(job)

    assert function.invoke(purge_event(job.id)) == {"batchItemFailures": []}
    assert function.keys(function.results, job.upload_key)


def sweeps_the_upload_of_a_deleted_job(function: Function) -> None:
    key = new_key()
    etag = function.upload(key)
    sweeps(function, direct_job(Status.PURGED, upload_key=key, upload_etag=etag, created_at=time.time() + 1))


def sweeps_the_parts_of_a_deleted_job(function: Function) -> None:
    job = begun(function, api_job(Status.PURGED))
    sweeps(function, job)
    assert has_no_parts(function, job)


def sweeps_what_nobody_fetched(function: Function) -> None:
    job = api_job(Status.READY, announced=True, expires_at=time.time() - 1, sweep_at=time.time() - 1)
    function.store.create(job)
    function.result_of(job)

    assert function.invoke({})["failed"] == 0

    assert function.status(job.id) is Status.EXPIRED
    assert not function.keys(function.results, job.upload_key)
    record = function.store.get(job.id)
    assert record is not None
    assert record.sweep_at is None, "it was told, and is done with"


def sweeps_abandoned_parts(function: Function) -> None:
    key = new_key()
    for bucket in (function.uploads, function.results):
        function.s3.create_multipart_upload(Bucket=bucket, Key=key)
    sweep = purge.app._sweep()

    with pytest.MonkeyPatch.context() as tomorrow:
        tomorrow.setattr(sweep, "_clock", lambda: time.time() + 2 * 24 * 3600)
        assert function.invoke({})["failed"] == 0

    for bucket in (function.uploads, function.results):
        assert "Uploads" not in function.s3.list_multipart_uploads(Bucket=bucket, Prefix=key)


def sweeps_after_a_deleted_job_whose_upload_is_gone(function: Function) -> None:
    sweeps(function, direct_job(Status.PURGED, upload_key=new_key(), upload_etag='"0"'))


def sweeps(function: Function, job: Job) -> None:
    function.store.create(job)
    function.result_of(job)

    assert function.invoke(purge_event(job.id)) == {"batchItemFailures": []}

    assert not function.keys(function.results, job.upload_key)
    assert not function.keys(function.uploads, job.upload_key)


def purge_event(job_id: str) -> Any:
    event = json.loads(EXAMPLE_PURGE.read_text())
    [record] = event["Records"]
    record["body"] = json.dumps({"job_id": job_id})
    record["attributes"]["SentTimestamp"] = str(int(1000 * time.time()))
    return event


# ---------------------------------------------------------------- with all rights, and with one less

SCENARIOS: dict[str, list[Scenario]] = {
    "ResampleFunction": [
        finds_that_an_upload_is_gone,
        resamples_an_upload,
        leaves_no_parts_of_a_result_that_could_not_be_stored,
        leaves_no_parts_when_a_whole_file_came_instead,
        deletes_the_result_of_a_job_that_was_deleted_meanwhile,
    ],
    "ApiFunction": [
        creates_a_job_that_can_be_uploaded_to,
        takes_an_upload_in_parts,
        gives_an_upload_in_parts_up,
        shows_a_job,
        lists_the_jobs_of_an_upload,
        lists_the_jobs_of_a_reference_and_in_a_state,
        grants_a_claim,
        deletes_a_job_with_all_that_it_has,
        deletes_a_job_whose_upload_is_there,
        deletes_a_job_whose_upload_is_gone,
    ],
    "PurgeFunction": [
        purges_what_was_downloaded,
        comes_back_when_the_window_ends,
        sweeps_the_upload_of_a_deleted_job,
        sweeps_the_parts_of_a_deleted_job,
        sweeps_after_a_deleted_job_whose_upload_is_gone,
        sweeps_what_nobody_fetched,
        sweeps_abandoned_parts,
    ],
}


@pytest.fixture(scope="module")
def stack(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    """A stack of its own, whose functions nobody calls: only the tests act in their roles."""
    with silent_stack(built, tmp_path_factory.mktemp("least-privilege")) as stack:
        yield stack


class Stage:
    """This process as one function after another."""

    def __init__(self, stack: EmbeddedAws, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._environment = pytest.MonkeyPatch()
        self._on: Function | None = None

    def enter(self, logical_id: str) -> Function:
        """Become a function, unless this is it already: its variables, its role's credentials, and new clients."""
        if self._on and self._on.logical_id == logical_id:
            self._on.denied.clear()
            return self._on
        self.clear()
        function = Function(self._stack, logical_id, self._folder)
        role_arn = self._stack.stack.deployment.attributes[f"{logical_id}Role", "Arn"]
        for name, value in {**self._variables(logical_id), **self._credentials(role_arn)}.items():
            self._environment.setenv(name, value)
        self._environment.setattr(boto3, "DEFAULT_SESSION", None)
        for client in (clients.s3(), clients.dynamodb(), clients.sqs(), clients.events()):
            client.meta.events.register("after-call", watch(function.denied))
        strict = StrictAboutMissingObjects(self._stack, role_arn)
        for operation in ("HeadObject", "GetObject"):
            clients.s3().meta.events.register_first(f"after-call.s3.{operation}", strict)
        self._on = function
        return function

    def clear(self) -> None:
        """Be nobody, and forget what a warm Lambda keeps."""
        self._on = None
        self._environment.undo()
        for module in (*MODULES.values(), clients, telemetry):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()

    def _variables(self, logical_id: str) -> dict[str, str]:
        properties = self._stack.stack.deployment.resolve(self._stack.stack.template["Resources"][logical_id])
        variables: Mapping[str, Any] = properties["Properties"]["Environment"]["Variables"]
        stand_ins = {"PATH", "PYTHONPATH", "TMPDIR"}
        return {name: str(value) for name, value in variables.items() if name not in stand_ins}

    def _credentials(self, role_arn: str) -> dict[str, str]:
        keys = self._stack.admin.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
        return {
            "AWS_REGION": self._stack.access.region,
            "AWS_DEFAULT_REGION": self._stack.access.region,
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        }


@pytest.fixture(scope="module")
def stage(stack: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(stack, tmp_path_factory.mktemp("results"))
    yield stage
    stage.clear()


@pytest.fixture
def function(request: pytest.FixtureRequest, stage: Stage) -> Function:
    return stage.enter(request.param)


def watch(denied: list[str]) -> Callable[..., None]:
    def note(model: Any, parsed: dict[str, Any], **_: Any) -> None:
        if parsed["ResponseMetadata"]["HTTPStatusCode"] == 403 or "AccessDenied" in parsed.get("Error", {}).get(
            "Code", ""
        ):
            denied.append(model.name)

    return note


@contextmanager
def without(function: Function, sid: str) -> Iterator[None]:
    """The role's policy lacks one statement."""
    iam = function.stack.admin.client("iam")
    for name in iam.list_role_policies(RoleName=function.role)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=function.role, PolicyName=name)["PolicyDocument"]
        rest = [statement for statement in document["Statement"] if statement.get("Sid") != sid]
        if len(rest) < len(document["Statement"]):
            break
    else:
        pytest.fail(f"{function.role} has no statement {sid}")

    def put(statements: list[Any]) -> None:
        text = json.dumps({**document, "Statement": statements})
        iam.put_role_policy(RoleName=function.role, PolicyName=name, PolicyDocument=text)

    put(rest)
    try:
        yield
    finally:
        put(document["Statement"])


def failure(scenario: Scenario, function: Function) -> BaseException | None:
    """Why a scenario fails, if it does."""
    try:
        scenario(function)
    except (Exception, pytest.fail.Exception) as error:  # an assertion, or what the function raises
        return error
    return None


@pytest.mark.parametrize(
    ("function", "scenario"),
    [
        pytest.param(name, scenario, id=f"{name}-{scenario.__name__}")
        for name, scenarios in SCENARIOS.items()
        for scenario in scenarios
    ],
    indirect=["function"],
)
def test_with_its_rights_each_function_does_its_work(function: Function, scenario: Scenario) -> None:
    scenario(function)

    assert function.denied == []


@pytest.mark.parametrize(
    ("function", "sid"),
    [pytest.param(name, sid, id=f"{name}-{sid}") for name, sid in STATEMENTS],
    indirect=["function"],
)
def test_without_any_one_right_something_cannot_be_done(function: Function, sid: str) -> None:
    with without(function, sid):
        for scenario in SCENARIOS[function.logical_id]:
            error = failure(scenario, function)
            denied, function.denied[:] = list(function.denied), []
            if error:
                assert denied, f"{scenario.__name__} fails, but not for want of a right: {error!r}"
                return
    pytest.fail("nothing that is tested needs it: give the new right a scenario, or take it away")


def test_every_right_is_either_tested_or_lambdas_own(stack: EmbeddedAws) -> None:
    iam = stack.admin.client("iam")
    tested = {sid for _, sid in STATEMENTS}
    beyond: set[str] = set()
    for name in MODULES:
        role = stack.stack.physical_id(f"{name}Role")
        attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        beyond.update(policy["PolicyArn"].rpartition("/")[2] for policy in attached)
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            given = [statement for statement in document["Statement"] if statement["Effect"] == "Allow"]
            if any(statement.get("Sid") not in tested for statement in given):
                beyond.add(policy)

    assert beyond == set(LAMBDAS_OWN)
