"""What whoever has a link sees beside the job itself: above all where to send the file, while the job takes one."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from api.jobs import Jobs
from api.page.languages import Language
from api.page.views import Visit
from api.visits import seen_job, visit_of
from audiojobs import clients
from audiojobs.job import Job, MultipartUpload, Status
from audiojobs.objects import ResultObjects, UploadObjects
from audiojobs.purges import PurgeSchedule
from audiojobs.settings import ApiSettings
from audiojobs.store import JobStore
from tests.unit.gateway import rest_event
from tests.unit.samples import api_job, direct_job
from tests.unit.service.in_memory_aws import AwsInMemory

LINK = "https://audio.example.com/d/x"
NOW = 1_800_000_000.0
SETTINGS = ApiSettings(jobs_table="jobs", upload_bucket="uploads", result_bucket="results", purge_queue_url="purges")
TAKING = [api_job(Status.AWAITING_UPLOAD, expires_at=NOW + 60), api_job(Status.FAILED, expires_at=NOW + 60)]
NOT_TAKING = [
    *(
        api_job(status, expires_at=NOW + 60)
        for status in Status
        if status not in (Status.AWAITING_UPLOAD, Status.FAILED)
    ),
    api_job(Status.FAILED, retryable=True, expires_at=NOW + 60),
    direct_job(Status.FAILED, expires_at=NOW + 60),
    api_job(Status.AWAITING_UPLOAD, expires_at=NOW),
]


@pytest.fixture
def jobs(aws: None) -> Jobs:
    memory = AwsInMemory(lambda: NOW).client()
    uploads, results = UploadObjects(clients.s3(), "uploads"), ResultObjects(clients.s3(), "results")
    return Jobs(SETTINGS, JobStore(memory, "jobs"), uploads, results, PurgeSchedule(memory, ""), clock=lambda: NOW)


def visit(jobs: Jobs, job: Job, headers: dict[str, str] | None = None, query: dict[str, str] | None = None) -> Visit:
    event = APIGatewayProxyEvent(rest_event("GET", "/d/x", headers=headers, query=query))
    return visit_of(job, event, link=LINK, jobs=jobs, settings=SETTINGS)


@pytest.mark.parametrize("job", TAKING, ids=lambda job: job.status)
def test_a_job_that_takes_a_file_says_where_to_send_it(jobs: Jobs, job: Job) -> None:
    shown = seen_job(job, jobs)

    assert (shown["upload"]["method"], urlsplit(shown["upload"]["url"]).path) == ("PUT", f"/{job.upload_key}")
    form = visit(jobs, job).upload_form
    assert form
    assert form.fields["success_action_redirect"] == f"{LINK}?sent={int(job.updated_at * 1000)}"


@pytest.mark.parametrize("job", NOT_TAKING, ids=lambda job: f"{job.origin} {job.status}")
def test_any_other_job_has_no_address_for_one(jobs: Jobs, job: Job) -> None:
    assert seen_job(job, jobs) == job.as_json()
    assert visit(jobs, job).upload_form is None


@pytest.mark.parametrize(("seconds_left", "lives"), [(7200, 3600), (60, 60), (0.5, 1)])
def test_no_address_outlives_the_job_or_an_hour(jobs: Jobs, seconds_left: float, lives: int) -> None:
    upload = seen_job(api_job(expires_at=NOW + seconds_left), jobs)["upload"]

    assert parse_qs(urlsplit(upload["url"]).query)["X-Amz-Expires"] == [str(lives)]


def test_a_passphrase_and_an_upload_that_was_begun_are_told_of(jobs: Jobs) -> None:
    begun = api_job(expires_at=NOW + 60, multipart=MultipartUpload("id", 11, 5), passphrase_hash="scrypt:")
    plain = api_job(expires_at=NOW + 60)

    more = seen_job(begun, jobs).keys() - seen_job(plain, jobs).keys()

    assert more == {"passphrase_required", "upload_in_parts"}
    assert seen_job(begun, jobs)["upload_in_parts"] == {"size_bytes": 11, "part_count": 3}
    assert "scrypt" not in json.dumps(seen_job(begun, jobs))


@pytest.mark.parametrize(
    ("job", "query", "has_sent"),
    [
        (api_job(expires_at=NOW + 60, updated_at=1.5), {"sent": "1500"}, True),
        (api_job(expires_at=NOW + 60, updated_at=1.5), {"sent": "1499"}, False),
        (api_job(expires_at=NOW + 60, updated_at=1.5), {}, False),
        (api_job(Status.READY, updated_at=1.5), {"sent": "1500"}, False),
    ],
    ids=["nothing has changed", "something has", "not sent", "takes no file"],
)
def test_whoever_comes_back_from_the_form_is_known_until_the_job_goes_on(
    jobs: Jobs, job: Job, query: dict[str, str], has_sent: bool
) -> None:
    assert visit(jobs, job, query=query).has_sent is has_sent


def test_the_browser_is_heard(jobs: Jobs) -> None:
    plain = visit(jobs, TAKING[0])
    asked = visit(jobs, TAKING[0], {"Accept-Language": "de-CH", "User-Agent": "WhatsApp/2"}, {"another": "yes"})

    assert (plain.language.tag, plain.user_agent, plain.wants_another) == ("en", "", False)
    assert (asked.language, asked.user_agent, asked.wants_another) == (Language("de", "de-CH"), "WhatsApp/2", True)
    assert asked.is_in_app
