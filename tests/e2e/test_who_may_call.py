"""Every route that the contract signs refuses whoever signs it wrongly, or not at all."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
import yaml
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.compat import get_current_datetime
from botocore.credentials import Credentials
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.e2e.service import IAM_REFUSAL, Job, Service

CONTRACT = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text(encoding="utf-8"))
ROUTES = [
    (method.upper(), path, operation)
    for path, item in CONTRACT["paths"].items()
    for method, operation in item.items()
    if method != "parameters" and operation["security"]
]
REFUSAL = {"$ref": "#/components/schemas/Refusal", "components": CONTRACT["components"]}


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is granted if it is signed with `keys` for `region` at `moment`."""

    method: str
    url: str
    body: bytes
    keys: tuple[str, str]
    region: str
    moment: datetime | None = None

    def signed(self) -> dict[str, str]:
        """The headers of the signed call."""
        request = AWSRequest(self.method, self.url, data=self.body, headers={"Content-Type": "application/json"})
        with pytest.MonkeyPatch.context() as patch:
            if self.moment:
                patch.setattr(auth, "get_current_datetime", lambda: self.moment)
            auth.SigV4Auth(Credentials(*self.keys), "execute-api", self.region).add_auth(request)
        return dict(request.headers.items())


Send = Callable[..., requests.Response]


def send(service: Service, call: Call, headers: Mapping[str, str]) -> requests.Response:
    return service.request(call.method, call.url, headers=headers, data=call.body)


def moved(call: Call, **by: int) -> Call:
    return replace(call, moment=get_current_datetime() + timedelta(**by))


def forged(headers: Mapping[str, str]) -> dict[str, str]:
    """The same signature with another last digit."""
    last = headers["Authorization"][-1]
    return {**headers, "Authorization": headers["Authorization"][:-1] + ("0" if last != "0" else "1")}


# How each kind of wrong call is sent: whatever is wrong with it, everything else is right. A signature for another
# service is not among them: AWS refuses it, the emulator does not.
WRONG: dict[str, Callable[[Send, Call], requests.Response]] = {
    "not signed": lambda send, call: send(call, {}),
    "an empty signature": lambda send, call: send(call, {"Authorization": ""}),
    "another scheme": lambda send, call: send(call, {"Authorization": "Bearer token"}),
    "another secret key": lambda send, call: send(call, replace(call, keys=(call.keys[0], "x" * 40)).signed()),
    "an unknown access key": lambda send, call: send(call, replace(call, keys=("AKIA" + "X" * 16, "x" * 40)).signed()),
    "another signature": lambda send, call: send(call, forged(call.signed())),
    "an hour ago": lambda send, call: send(call, moved(call, hours=-1).signed()),
    "a year ago": lambda send, call: send(call, moved(call, days=-365).signed()),
    "an hour to come": lambda send, call: send(call, moved(call, hours=1).signed()),
    "another region": lambda send, call: send(call, replace(call, region="ap-south-2").signed()),
    "another body": lambda send, call: send(replace(call, body=b'{"filename": "b.wav"}'), call.signed()),
    "another query": lambda send, call: send(replace(call, url=f"{call.url}&limit=1"), call.signed()),
    "another path": lambda send, call: send(call, replace(call, url=call.url.replace("/jobs", "/job", 1)).signed()),
    "another method": lambda send, call: send(call, replace(call, method="PATCH").signed()),
}


@pytest.fixture(scope="module")
def job(service: Service) -> Iterator[Job]:
    created = service.create_job("song.wav")
    yield created
    service.delete(created["id"])


@pytest.fixture(scope="module")
def stranger(service: Service) -> Iterator[tuple[str, str]]:
    """The keys of a user of the same account who may do everything but call the API."""
    iam = service.stack.admin.client("iam")
    iam.create_user(UserName="no-caller")
    statement = {"Effect": "Allow", "Action": ["s3:*", "dynamodb:*", "lambda:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="no-caller", PolicyName="all-else", PolicyDocument=policy)
    key = iam.create_access_key(UserName="no-caller")["AccessKey"]
    yield key["AccessKeyId"], key["SecretAccessKey"]
    iam.delete_access_key(UserName="no-caller", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="no-caller", PolicyName="all-else")
    iam.delete_user(UserName="no-caller")


@pytest.fixture(params=ROUTES, ids=lambda route: f"{route[0]} {route[1]}")
def call(request: pytest.FixtureRequest, service: Service, job: Job) -> Call:
    """A call of a route, as its contract has it, that would be granted."""
    method, path, operation = request.param
    access = service.stack.access
    query = {
        item["name"]: item["example"]
        for item in operation.get("parameters", [])
        if item.get("required") or item["name"] == "upload_key"
    }
    body: Any = None
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["example"]
    return Call(
        method,
        f"{access.api_url}{path.replace('{id}', job['id'])}?{urlencode(query)}",
        json.dumps(body).encode() if body else b"",
        (access.access_key_id, access.secret_access_key),
        access.region,
    )


def what_there_is(service: Service, job: Job) -> tuple[set[str], dict[str, Any]]:
    """The ids of all jobs, and the one job that the calls are about as it stands in the table."""
    return {record["id"]["S"] for record in service.records()}, service.record(job["id"])


def refusal_of(answer: requests.Response) -> str:
    """`request-refused`, once the answer is one of the contract's refusals; or that the emulator refused by itself."""
    assert answer.status_code == 403, answer.text
    if answer.headers["Content-Type"] == IAM_REFUSAL:
        return IAM_REFUSAL
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    document = answer.json()
    Draft202012Validator(REFUSAL).validate(document)
    return str(document["type"])


def test_the_contract_signs_every_route_of_jobs() -> None:
    assert {(method, path) for method, path, _ in ROUTES} == {
        (method.upper(), path)
        for path, item in CONTRACT["paths"].items()
        for method in item
        if method != "parameters" and path.startswith("/jobs")
    }
    assert len(ROUTES) >= 5


def test_whoever_signs_wrongly_is_refused(service: Service, job: Job, call: Call) -> None:
    before = what_there_is(service, job)

    answers = {kind: wrong(partial(send, service), call) for kind, wrong in WRONG.items()}

    assert {kind: answer.status_code for kind, answer in answers.items()} == dict.fromkeys(WRONG, 403)
    refusals = Counter(refusal_of(answer) for answer in answers.values())
    assert refusals["request-refused"] >= 9, refusals
    assert what_there_is(service, job) == before


def test_whoever_has_no_permission_is_refused(
    service: Service, job: Job, stranger: tuple[str, str], call: Call
) -> None:
    before = what_there_is(service, job)

    refusal_of(send(service, call, replace(call, keys=stranger).signed()))

    assert what_there_is(service, job) == before


def test_whoever_signs_rightly_is_not(service: Service, call: Call) -> None:
    if call.method == "DELETE":
        call = replace(call, url=re.sub(r"/jobs/[0-9a-f]{32}", f"/jobs/{'0' * 32}", call.url))

    answer = send(service, call, call.signed())

    assert answer.status_code in (200, 201, 404, 409), answer.text
    if answer.status_code == 201:
        service.remember(answer.json()["link"], answer.json()["upload"]["url"])
        service.delete(answer.json()["id"])
