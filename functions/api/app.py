"""The Lambda handler of the API: each route is an adapter, errors become problem documents in one place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response

from api.contract import openapi
from api.jobs import Jobs
from api.links import Links
from api.page import content_security_policy, job_page, question_page, refusal_page
from api.page.languages import Language, choose_language
from api.page.views import Visit
from api.requests import (
    CONFIRMED_FIELD,
    IDEMPOTENCY_KEY,
    METHOD_FIELD,
    parse_claim_key,
    parse_form,
    parse_job_key,
    parse_job_query,
    parse_job_request,
    parse_limit,
    parse_parts_request,
    parse_passphrase,
    parse_sent_parts,
    parse_upload_request,
)
from api.responses import empty_response, html_response, json_response, problem_response, retry_after
from api.uploads import Uploads
from api.visits import seen_job, visit_of
from audiojobs import clients
from audiojobs.announcements import Announcer
from audiojobs.errors import (
    AudioJobError,
    CrossOriginClaim,
    FileError,
    InternalError,
    InvalidRequest,
    JobNotFound,
    RequestError,
)
from audiojobs.job import Job, rfc3339
from audiojobs.links import link_url
from audiojobs.multipart import UploadParts
from audiojobs.objects import ResultObjects, UploadObjects
from audiojobs.purges import PurgeSchedule
from audiojobs.settings import ApiSettings
from audiojobs.store import JobStore
from audiojobs.telemetry import instrumented, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

resolver = APIGatewayRestResolver()

REPRESENTATION = "return=representation"


clients.prepare(clients.dynamodb, clients.s3, clients.sqs, clients.events)


@instrumented
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> Any:
    return resolver.resolve(event, context)


@resolver.post("/jobs")
def create_job() -> Response[str]:
    key = parse_job_key(resolver.current_event.headers.get(IDEMPOTENCY_KEY))
    created = _jobs().create(parse_job_request(**_body()), caller=_caller() if key else "", key=key)
    link = link_url(_public_url(), created.job.id, created.secret) if created.secret else None
    location = {"Location": f"{_public_url()}/jobs/{created.job.id}"}
    return json_response(201, {**created.job.as_json(), "upload": created.upload, "link": link}, location)


@resolver.get("/jobs")
def list_jobs() -> Response[str]:
    query = resolver.current_event.query_string_parameters
    jobs, next_token = _jobs().list_jobs(
        parse_job_query(query), limit=parse_limit(query.get("limit")), next_token=query.get("next_token")
    )
    return json_response(200, {"jobs": [job.as_json() for job in jobs], "next_token": next_token})


@resolver.get("/jobs/<job_id>")
def get_job(job_id: str) -> Response[str]:
    return json_response(200, _jobs().get(job_id).as_json())


@resolver.delete("/jobs/<job_id>")
def delete_job(job_id: str) -> Response[str]:
    _jobs().delete(job_id)
    return empty_response(204)


@resolver.post("/jobs/<job_id>/link")
def renew_link(job_id: str) -> Response[str]:
    job, secret = _jobs().renew_link(job_id)
    return json_response(201, {**job.as_json(), "link": link_url(_public_url(), job.id, secret)})


@resolver.post("/jobs/<job_id>/upload")
def begin_upload(job_id: str) -> Response[str]:
    return _begin_upload(_jobs().get(job_id))


@resolver.post("/jobs/<job_id>/upload/parts")
def presign_parts(job_id: str) -> Response[str]:
    return _presign_parts(_jobs().get(job_id))


@resolver.post("/jobs/<job_id>/upload/complete")
def complete_upload(job_id: str) -> Response[str]:
    return _complete_upload(_jobs().get(job_id))


@resolver.delete("/jobs/<job_id>/upload")
def abort_upload(job_id: str) -> Response[str]:
    return _abort_upload(_jobs().get(job_id))


@resolver.post("/d/<token>/upload")
def begin_upload_by_link(token: str) -> Response[str]:
    return _begin_upload(_links().look(token))


@resolver.post("/d/<token>/upload/parts")
def presign_parts_by_link(token: str) -> Response[str]:
    return _presign_parts(_links().look(token))


@resolver.post("/d/<token>/upload/complete")
def complete_upload_by_link(token: str) -> Response[str]:
    return _complete_upload(_links().look(token))


@resolver.delete("/d/<token>/upload")
def abort_upload_by_link(token: str) -> Response[str]:
    return _abort_upload(_links().look(token))


@resolver.route("/d/<token>", method=["GET", "HEAD"])
def look_at_link(token: str) -> Response[str]:
    job = _links().look(token)
    return _page(200, job_page(_visit(job, token))) if _wants_page() else json_response(200, seen_job(job, _jobs()))


@resolver.post("/d/<token>")
def claim_link(token: str) -> Response[str]:
    """A form can only GET and POST: it names another method in a field."""
    if _is_from_foreign_script():
        raise CrossOriginClaim(
            "A script of another site cannot read the answer. Let a form post to the link, or open it."
        )
    headers = resolver.current_event.headers
    key = parse_claim_key(headers.get(IDEMPOTENCY_KEY))
    form = parse_form(**_body(), content_type=headers.get("content-type"))
    method = form.get(METHOD_FIELD, "POST")
    if method not in ("POST", "DELETE"):
        raise InvalidRequest(f"{METHOD_FIELD} must be DELETE, or left out.", field=METHOD_FIELD)
    if method == "DELETE":
        return _delete_by_form(token, form)
    passphrase = parse_passphrase(**_body(), content_type=headers.get("content-type"))
    claim = _links().claim(token, key=key, passphrase=passphrase)
    if not _wants_representation():
        return empty_response(303, {"Location": claim.url})
    download = {"url": claim.url, "expires_at": rfc3339(claim.expires_at)}
    applied = {"Preference-Applied": REPRESENTATION}
    return json_response(200, {**claim.job.as_json(), "download": download}, applied)


@resolver.delete("/d/<token>")
def delete_by_link(token: str) -> Response[str]:
    _jobs().delete(_links().look(token).id)
    return empty_response(204)


def _delete_by_form(token: str, form: Mapping[str, str]) -> Response[str]:
    """Asks first: there is no dialog without JavaScript. Afterwards the same address is looked at again."""
    job = _links().look(token)
    if _wants_page() and CONFIRMED_FIELD not in form:
        return _page(200, question_page(_visit(job, token)))
    _jobs().delete(job.id)
    address = resolver.current_event.request_context.path or ""
    return empty_response(303, {"Location": address}) if _wants_page() else empty_response(204)


@resolver.get("/openapi.json")
def get_openapi() -> Response[str]:
    return json_response(200, openapi(_public_url()))


@resolver.exception_handler([RequestError, FileError])  # type: ignore[untyped-decorator]
def refuse(error: AudioJobError) -> Response[str]:
    logger().info("refused", extra={"code": error.code})
    return _refusal(error)


@resolver.exception_handler(Exception)  # type: ignore[untyped-decorator]
def fail(error: Exception) -> Response[str]:
    ours = error if isinstance(error, AudioJobError) else InternalError()
    logger().exception("failed", extra={"code": ours.code})
    return _refusal(ours) if ours is error else problem_response(ours)


@resolver.not_found
def no_such_route(_: Exception) -> Response[str]:
    """What no route takes below ``/d/`` is a link that was never given out."""
    if resolver.current_event.path.startswith("/d/"):
        return _refusal(JobNotFound())
    return problem_response(JobNotFound("There is nothing at this address."))


def _begin_upload(job: Job) -> Response[str]:
    return json_response(200, _uploads_in_parts().begin(job, parse_upload_request(**_body())))


def _presign_parts(job: Job) -> Response[str]:
    return json_response(200, _uploads_in_parts().presign(job, parse_parts_request(**_body())))


def _complete_upload(job: Job) -> Response[str]:
    return json_response(200, _uploads_in_parts().complete(job, parse_sent_parts(**_body())).as_json())


def _abort_upload(job: Job) -> Response[str]:
    _uploads_in_parts().abort(job)
    return empty_response(204)


def _caller() -> str:
    """Who signed the call: the user's or role's unique id, which no other one ever gets.

    All sessions of a role are one caller, so that a program that starts again is still the same.
    """
    caller = resolver.current_event.request_context.identity.caller or ""
    if not caller:
        raise InvalidRequest(f"{IDEMPOTENCY_KEY} needs a call signed with AWS credentials.", field=IDEMPOTENCY_KEY)
    return caller.partition(":")[0]


def _body() -> dict[str, Any]:
    event = resolver.current_event
    return {"body": event.body, "is_base64": bool(event.is_base64_encoded)}


def _wants_page() -> bool:
    """Browsers ask for HTML by name; ``*/*`` gets JSON."""
    event = resolver.current_event
    return event.path.startswith("/d/") and "text/html" in (event.headers.get("accept") or "")


def _wants_representation() -> bool:
    """RFC 7240: scripts can't see where a redirect leads, so they ask for the job and the address instead."""
    preferences = resolver.current_event.headers.get("prefer") or ""
    return REPRESENTATION in (preference.strip().lower() for preference in preferences.split(","))


def _is_from_foreign_script() -> bool:
    """Whether a browser says that another site's script, not a form or a link, made the call.

    Fetch Metadata (W3C): browsers send it to https and loopback, and scripts can't change it.
    """
    headers = resolver.current_event.headers
    is_navigation = headers.get("sec-fetch-mode") == "navigate"
    return headers.get("sec-fetch-site") in ("cross-site", "same-site") and not is_navigation


def _visit(job: Job, token: str) -> Visit:
    link = link_url(_public_url(), *token.split("."))
    return visit_of(job, resolver.current_event, link=link, jobs=_jobs(), settings=_settings())


def _language() -> Language:
    return choose_language(resolver.current_event.headers.get("accept-language"))


def _refusal(error: AudioJobError) -> Response[str]:
    if not _wants_page():
        return problem_response(error)
    return _page(error.http_status, refusal_page(error, _settings(), _language()), retry_after(error))


def _page(status_code: int, html: str, headers: Mapping[str, str] | None = None) -> Response[str]:
    policy = content_security_policy(upload_origin=_uploads().origin(), download_origin=_results().origin())
    all_headers = {"Content-Security-Policy": policy, **(headers or {})}
    return html_response(status_code, html, language=_language().tag, headers=all_headers)


def _public_url() -> str:
    """The API's address as the client used it, so that a custom domain shows in links too."""
    event = resolver.current_event
    context = event.request_context
    stage = (context.path or "").removesuffix(event.path)
    scheme = event.headers.get("x-forwarded-proto") or "https"
    return _settings().public_url or f"{scheme}://{context.domain_name}{stage}"


@cache
def _settings() -> ApiSettings:
    return ApiSettings.from_environment(os.environ)


@cache
def _store() -> JobStore:
    return JobStore(clients.dynamodb(), _settings().jobs_table)


@cache
def _uploads() -> UploadObjects:
    return UploadObjects(clients.s3(), _settings().upload_bucket)


@cache
def _results() -> ResultObjects:
    return ResultObjects(clients.s3(), _settings().result_bucket)


@cache
def _schedule() -> PurgeSchedule:
    return PurgeSchedule(clients.sqs(), _settings().purge_queue_url)


@cache
def _jobs() -> Jobs:
    return Jobs(_settings(), _store(), _uploads(), _results(), _schedule())


@cache
def _links() -> Links:
    announcer = Announcer(clients.events(), _settings().upload_bucket)
    return Links(_settings(), _store(), _results(), _schedule(), announcer)


@cache
def _uploads_in_parts() -> Uploads:
    return Uploads(_settings(), _store(), _uploads(), UploadParts(clients.s3(), _settings().upload_bucket))
