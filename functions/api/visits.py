"""A job as whoever has its link sees it: as JSON, and as the page is made from it."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from api.jobs import Jobs
from api.page.languages import choose_language
from api.page.views import Visit
from api.requests import ANOTHER_FIELD, SENT_FIELD
from api.uploads import begun_upload
from audiojobs.job import Job
from audiojobs.settings import ApiSettings


def seen_job(job: Job, jobs: Jobs) -> dict[str, Any]:
    """The job as JSON; as long as it takes a file, with an address to send that to."""
    shown = job.as_json() | ({"passphrase_required": True} if job.passphrase_hash else {})
    if not jobs.takes_upload(job):
        return shown
    return {**shown, "upload": jobs.presign_upload(job), **begun_upload(job)}


def visit_of(job: Job, event: APIGatewayProxyEvent, *, link: str, jobs: Jobs, settings: ApiSettings) -> Visit:
    """What the page of a job is made from. The upload form comes back to ``link`` with the job's last change.

    Where nothing has changed since, the upload was sent and waits.
    """
    changed = str(int(job.updated_at * 1000))
    form = None
    if jobs.takes_upload(job):
        form = jobs.presign_upload_form(job, returns_to=f"{link}?{urlencode({SENT_FIELD: changed})}")
    query = event.query_string_parameters
    return Visit(
        job=job,
        document=seen_job(job, jobs),
        now=time.time(),
        settings=settings,
        language=choose_language(event.headers.get("accept-language")),
        upload_form=form,
        user_agent=event.headers.get("user-agent") or "",
        has_sent=form is not None and query.get(SENT_FIELD) == changed,
        wants_another=ANOTHER_FIELD in query,
    )
