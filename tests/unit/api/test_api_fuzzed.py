"""Whatever the contract allows to be sent, and what it doesn't: every answer is one that the contract has.

schemathesis makes the calls from the contract itself: each boundary of each field, and what is just beyond it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok

from api import app
from api.contract import openapi
from api.responses import SECURITY_HEADERS
from audiojobs.job import MultipartUpload, Status
from audiojobs.multipart import MAX_PARTS, MIN_PART_BYTES
from tests.unit.cloud import Cloud
from tests.unit.gateway import BROWSER, PUBLIC_URL, wsgi
from tests.unit.samples import api_job, linked

Operation = schemathesis.APIOperation[Any, Any, Any, Any]
Case = schemathesis.Case[Any]

# Not asked: that everything that fits the schema is taken. JSON Schema can't say that a name needs more than spaces, or
# which bit rates a sample rate has. And signatures are checked by the gateway, not here.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]

EXPECTED_HEADERS = {name: [value] for name, value in SECURITY_HEADERS.items()}

STATES = [*Status, None]
WISHES = [{}, BROWSER, {"Prefer": "return=representation"}]

IN_CI = len(STATES) * len(WISHES)
LONG = 60 * IN_CI


def unsigned(document: dict[str, Any]) -> dict[str, Any]:
    """The contract of what lies behind the gateway, which checks the signatures."""
    for item in document["paths"].values():
        for method in item.keys() - {"parameters"}:
            item[method] = {**item[method], "security": []}
    return document


# What a job needs for some of the calls to be answered: an announced size, or an upload that has every part.
FIELDS: dict[str, dict[str, Any]] = {
    "upload": {"upload_size_bytes": MIN_PART_BYTES},
    "parts": {"multipart": MultipartUpload("id", MAX_PARTS * MIN_PART_BYTES, MIN_PART_BYTES)},
}

CONTRACT = schemathesis.openapi.from_dict(unsigned(openapi(PUBLIC_URL)))
CONTRACT.app = wsgi(app.lambda_handler)
OPERATIONS: list[Operation] = [result.ok() for result in CONTRACT.get_all_operations() if isinstance(result, Ok)]


def statuses(operation: Operation, cloud: Cloud, *, calls: int) -> Counter[int]:
    """Make calls that fit the contract and calls that don't, about jobs in every state and about none.

    Returns how often each status was answered, once every answer has been compared with the contract.
    """
    positive, negative = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)
    made: Counter[int] = Counter()

    @settings(max_examples=calls, phases=[Phase.generate])
    @given(case=positive | negative)
    def call(case: Case) -> None:
        wishes, state = divmod(made.total(), len(STATES))
        case.headers.update(WISHES[wishes % len(WISHES)])
        if case.path_parameters and (status := STATES[state]):
            job, token = linked(api_job(status, **FIELDS.get(operation.path.rpartition("/")[2], {})))
            cloud.store.create(job)
            case.path_parameters = {"id": job.id} if "id" in case.path_parameters else {"token": token}
        answer = case.call()
        made[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)
        assert {name: answer.headers[name.lower()] for name in SECURITY_HEADERS} == EXPECTED_HEADERS

    call()
    return made


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_every_answer_is_in_the_contract(operation: Operation, cloud: Cloud) -> None:
    made = statuses(operation, cloud, calls=IN_CI)

    assert [status for status in made if status < 400], "some calls get through"


@pytest.mark.long
@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_every_answer_to_many_calls_is_in_the_contract(
    operation: Operation, cloud: Cloud, figure: Callable[[str], None]
) -> None:
    made = statuses(operation, cloud, calls=LONG)

    figure(f"{operation.label}: {made.total()} calls, {dict(sorted(made.items()))}")
