"""The deployed service, called as its own contract allows and as it doesn't: what comes back is in the contract."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok

from tests.e2e.service import IAM_REFUSAL, REQUEST_SECONDS, Service

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
IN_CI = 5
LONG = 100


def calls(service: Service, *, of_each: int) -> Counter[str]:
    """Make calls of each operation; returns how often each status was answered, by operation."""
    document = service.request("GET", f"{service.stack.access.api_url}/openapi.json").json()
    operations: list[Any] = [
        result.ok()
        for result in schemathesis.openapi.from_dict(document).get_all_operations()
        if isinstance(result, Ok)
    ]
    assert len(operations) >= 10
    created = service.create_job("song.wav")
    token = created["link"].rpartition("/")[2]
    made: Counter[str] = Counter()
    for operation in operations:
        make_calls(service, operation, {"id": created["id"], "token": token}, made, count=of_each)
    service.delete(created["id"])
    return made


def make_calls(service: Service, operation: Any, known: dict[str, str], made: Counter[str], *, count: int) -> None:
    positive, negative = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=positive | negative)
    def call(case: Any) -> None:
        # Every second call is about a job that there is; what deletes keeps to those that there aren't.
        if case.path_parameters and operation.method != "delete" and made.total() % 2:
            case.path_parameters = {name: known[name] for name in case.path_parameters}
        answer = case.call(
            base_url=service.stack.access.api_url, session=service.http, auth=signing(service), timeout=REQUEST_SECONDS
        )
        made[f"{operation.label} {answer.status_code}"] += 1
        if answer.headers.get("content-type") != [IAM_REFUSAL]:
            case.validate_response(answer, checks=CHECKS)
        if answer.status_code == 201 and operation.path == "/jobs":
            service.remember(answer.json()["link"], answer.json()["upload"]["url"])
            service.delete(answer.json()["id"])

    call()


def signing(service: Service) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Signs with SigV4, in place of whatever the call has as its authorization."""
    access = service.stack.access

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.pop("Authorization", None)
        aws = AWSRequest(request.method, request.url, data=request.body)
        SigV4Auth(Credentials(access.access_key_id, access.secret_access_key), "execute-api", access.region).add_auth(
            aws
        )
        request.headers.update(dict(aws.headers.items()))
        return request

    return sign


def test_every_answer_is_in_the_contract(service: Service, figure: Callable[[str], None]) -> None:
    made = calls(service, of_each=IN_CI)

    figure(f"schemathesis over HTTP: {made.total()} calls, {len(made)} kinds of answers")


@pytest.mark.long
def test_every_answer_to_many_calls_is_in_the_contract(service: Service, figure: Callable[[str], None]) -> None:
    for kind, count in sorted(calls(service, of_each=LONG).items()):
        figure(f"{count:5} {kind}")
