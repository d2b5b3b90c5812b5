"""The jobs table: each transition is one conditional write, and only this module knows the conditions.

A refused transition raises :class:`Refused` with the job as it is, so that the caller can say why.

The answer to a write can be lost on the way, and its repetition by boto3 meets what the first one wrote. A transition
that happens once therefore carries a random holder: a job that bears it was written by this very call.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from audiojobs.aws_errors import ConditionFailed, aws_errors
from audiojobs.errors import InternalError, InvalidRequest
from audiojobs.job import (
    RETRY_GRACE_SECONDS,
    Job,
    MultipartUpload,
    Notice,
    Origin,
    Result,
    Source,
    Status,
    as_record,
    from_record,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RECORD_SECONDS = 7 * 24 * 3600
"""How long the record of a job stays after its expiry (it holds no audio): longer than S3 delivers late events."""

SWEEP_GRACE_SECONDS = 120
"""After a purge is due: the purge's own message comes first."""

MAX_MORE_LINKS = 20

_BY_UPLOAD_KEY = "by-upload-key"
_BY_REFERENCE = "by-reference"
_BY_STATUS = "by-status"
_BY_SWEEP_TIME = "by-sweep-time"
_BATCH_TRIES = 5  # of a page of 100 jobs, which DynamoDB may give in several answers
_DUE = "due"  # the one partition of that index, which only has jobs with something left to do

_FIRST_VALUES = (
    "origin",
    "upload_key",
    "upload_etag",
    "upload_last_modified",
    "filename",
    "reference",
    "created_at",
    "expires_at",
    "delete_at",
    "conversion",
)
"""What only the first attempt at a direct upload writes."""

# Callers send what they like as an id or as a page's start. DynamoDB fails on a key that is too long or a number that
# is none, and that would look like our fault.
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_MOMENT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,20})?", re.ASCII)


class Refused(Exception):
    """A transition's condition did not hold. ``job`` is what stands in the table, ``None`` if nothing does."""

    def __init__(self, job: Job | None) -> None:
        super().__init__(f"refused: the job is {job.status if job else 'unknown'}")
        self.job = job


@dataclass(frozen=True, slots=True)
class DueJobs:
    """Ids of jobs, when the first of them became due, and where the next page begins."""

    ids: list[str]
    oldest: float | None
    next_page: Mapping[str, Any] | None


class JobStore:
    """The jobs of one table. Moments are Unix times in seconds, given by the caller.

    Every method raises :class:`~audiojobs.errors.InternalError` when DynamoDB fails.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def get(self, job_id: str) -> Job | None:
        """The job as last written (a consistent read)."""
        if not _JOB_ID.fullmatch(job_id):
            return None
        with aws_errors():
            answer = self._client.get_item(TableName=self._table, Key=_key(job_id), ConsistentRead=True)
        return _job(answer["Item"]) if "Item" in answer else None

    def get_by_link(self, job_id: str, *, secret_hash: str) -> Job | None:
        """The job as last written, for who knows the secret of its link (a consistent read).

        DynamoDB compares the hashes, of 256 random bits: a wrong secret and an unknown job get the same answer, and
        leave the same work to be done.
        """
        if not _JOB_ID.fullmatch(job_id):
            return None
        with aws_errors():
            answer = self._client.query(
                TableName=self._table,
                KeyConditionExpression="id = :id",
                FilterExpression="secret_hash = :hash OR contains(more_secret_hashes, :hash)",
                ExpressionAttributeValues=_item({":id": job_id, ":hash": secret_hash}),
                ConsistentRead=True,
            )
        return next(map(_job, answer["Items"]), None)

    def list_by_upload_key(
        self, upload_key: str, *, limit: int, next_token: str | None = None
    ) -> tuple[list[Job], str | None]:
        """The jobs of an upload key, newest first, and the token of the next page.

        Raises :class:`~audiojobs.errors.InvalidRequest` for a token that is none of ours.
        """
        items, token = self._page(_BY_UPLOAD_KEY, "upload_key", upload_key, limit, next_token)
        return [_job(item) for item in items], token

    def list_by_reference(
        self, reference: str, *, limit: int, next_token: str | None = None
    ) -> tuple[list[Job], str | None]:
        """The same for the jobs of a reference, as last written."""
        items, token = self._page(_BY_REFERENCE, "reference", reference, limit, next_token)
        return self._get_all([item["id"]["S"] for item in items]), token

    def list_by_status(
        self, status: Status, *, limit: int, next_token: str | None = None
    ) -> tuple[list[Job], str | None]:
        """The same for the jobs that stand in a state, or stood there a moment ago."""
        items, token = self._page(_BY_STATUS, "status", status, limit, next_token)
        return self._get_all([item["id"]["S"] for item in items]), token

    def _page(
        self, index: str, name: str, value: str, limit: int, next_token: str | None
    ) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """A page of an index whose sort key is ``created_at``, newest first."""
        start = {"ExclusiveStartKey": _page_start(name, value, next_token)} if next_token else {}
        with aws_errors():
            answer = self._client.query(
                TableName=self._table,
                IndexName=index,
                KeyConditionExpression="#key = :key",
                ExpressionAttributeNames={"#key": name},
                ExpressionAttributeValues={":key": {"S": value}},
                ScanIndexForward=False,
                Limit=limit,
                **start,  # type: ignore[arg-type]
            )
        last = answer.get("LastEvaluatedKey")
        return answer["Items"], _next_token(last) if last else None

    def _get_all(self, job_ids: Sequence[str]) -> list[Job]:
        """The jobs of these ids, at most 100, in their order; those that are gone are left out."""
        found: dict[str, Job] = {}
        asked: Any = {self._table: {"Keys": [_key(job_id) for job_id in job_ids], "ConsistentRead": True}}
        for _ in range(_BATCH_TRIES):
            if not job_ids or not asked:
                return [found[job_id] for job_id in job_ids if job_id in found]
            with aws_errors():
                answer = self._client.batch_get_item(RequestItems=asked)
            found |= {item["id"]["S"]: _job(item) for item in answer["Responses"].get(self._table, [])}
            asked = answer.get("UnprocessedKeys")
        raise InternalError

    def create(self, job: Job) -> None:
        """Write a new job. Raises :class:`Refused` if its id is taken."""
        try:
            with aws_errors():
                self._client.put_item(
                    TableName=self._table,
                    Item=_item(as_record(job) | ({"sweep": _DUE} if job.sweep_at else {})),
                    ConditionExpression="attribute_not_exists(id)",
                )
        except ConditionFailed as error:
            stored_job = self.get(job.id)
            if stored_job != job:
                raise Refused(stored_job) from error

    def begin(
        self,
        job: Job,
        *,
        now: float,
        holder: str,
        request_id: str,
        lease_expires_at: float,
        uploaded_at: float | None = None,
    ) -> Job:
        """``awaiting-upload`` (or, for a direct upload, nothing) -> ``processing``, under a lease.

        A lease that ran out is taken over, and so is a failure of ours. A retry of the invocation that holds the lease
        takes over at once: Lambda retries when the attempt before has ended. ``job`` gives a direct upload's first
        values, and the pin of the upload. ``uploaded_at`` decides whether an upload came in time.
        """
        update = (
            "SET #status = :processing, updated_at = :now, progress = :no_progress, lease_holder = :holder,"
            " lease_request_id = :request, lease_expires_at = :lease_expires_at, retryable = :false,"
            " announced = :false, sweep = :due, sweep_at = :sweep_at"
        )
        condition = (
            "(#status = :awaiting AND expires_at > :uploaded_at)"
            " OR (#status = :processing AND lease_expires_at <= :now)"
            " OR (#status = :processing AND lease_request_id = :request AND lease_holder <> :holder)"
            " OR (#status = :failed AND retryable = :true)"
        )
        values: dict[str, Any] = {
            ":awaiting": Status.AWAITING_UPLOAD,
            ":processing": Status.PROCESSING,
            ":failed": Status.FAILED,
            ":now": now,
            ":uploaded_at": now if uploaded_at is None else uploaded_at,
            ":no_progress": 0.0,
            ":holder": holder,
            ":request": request_id,
            ":lease_expires_at": lease_expires_at,
            ":due": _DUE,
            ":sweep_at": lease_expires_at + RETRY_GRACE_SECONDS,
            ":true": True,
            ":false": False,
            ":one": 1,
        }
        if job.origin is Origin.DIRECT:
            condition = f"attribute_not_exists(id) OR {condition}"
            for name in _FIRST_VALUES:
                if (value := as_record(job).get(name)) is not None:
                    update += f", #{name} = if_not_exists(#{name}, :{name})"
                    values[f":{name}"] = value
        elif job.upload_etag is not None:
            update += ", upload_etag = :upload_etag, upload_last_modified = :upload_last_modified"
            values |= {":upload_etag": job.upload_etag, ":upload_last_modified": job.upload_last_modified}
        return self._transition(
            job.id,
            f"{update} ADD attempts :one REMOVE #error, deleted_at",
            condition,
            values,
            holder=holder,
            leaves=(Status.PROCESSING,),
        )

    def begin_with_another_upload(
        self, job: Job, *, now: float, holder: str, request_id: str, lease_expires_at: float, uploaded_at: float
    ) -> Job:
        """``failed`` by the file's fault -> ``processing``, with the upload that ``job`` pins, if that came in time."""
        return self._transition(
            job.id,
            "SET #status = :processing, updated_at = :now, progress = :no_progress, lease_holder = :holder,"
            " lease_request_id = :request, lease_expires_at = :lease_expires_at, announced = :false,"
            " attempts = :one, upload_etag = :upload_etag, upload_last_modified = :upload_last_modified,"
            " sweep = :due, sweep_at = :sweep_at"
            " REMOVE #error, deleted_at",
            "#status = :failed AND retryable = :false AND expires_at > :uploaded_at"
            " AND (upload_etag <> :upload_etag OR upload_last_modified <> :upload_last_modified)",
            {
                ":failed": Status.FAILED,
                ":processing": Status.PROCESSING,
                ":now": now,
                ":no_progress": 0.0,
                ":holder": holder,
                ":request": request_id,
                ":lease_expires_at": lease_expires_at,
                ":due": _DUE,
                ":sweep_at": lease_expires_at + RETRY_GRACE_SECONDS,
                ":uploaded_at": uploaded_at,
                ":upload_etag": job.upload_etag,
                ":upload_last_modified": job.upload_last_modified,
                ":false": False,
                ":one": 1,
            },
            holder=holder,
            leaves=(Status.PROCESSING,),
        )

    def begin_multipart(
        self, job_id: str, upload: MultipartUpload, *, replaces: MultipartUpload | None, now: float
    ) -> Job:
        """Note the upload in parts of a job that awaits its file, or another one after a file that was at fault.

        ``replaces`` is the upload that S3 no longer knows.
        """
        values = {
            ":awaiting": Status.AWAITING_UPLOAD,
            ":failed": Status.FAILED,
            ":false": False,
            ":now": now,
            ":upload": asdict(upload),
        }
        update = "SET multipart = :upload"
        awaiting = "(#status = :awaiting OR (#status = :failed AND retryable = :false)) AND expires_at > :now"
        if replaces is None:
            return self._transition(job_id, update, f"{awaiting} AND attribute_not_exists(multipart)", values)
        return self._transition(
            job_id, update, f"{awaiting} AND multipart = :replaced", {**values, ":replaced": asdict(replaces)}
        )

    def end_multipart(self, job_id: str, upload: MultipartUpload) -> None:
        """Forget the upload in parts, unless another one has taken its place."""
        with suppress(Refused):
            self._transition(job_id, "REMOVE multipart", "multipart = :upload", {":upload": asdict(upload)})

    def record_progress(self, job_id: str, *, now: float, holder: str, progress: float) -> None:
        """Note how far the work is (0..1). Refused when the lease is no longer ours: then stop working."""
        self._transition(
            job_id,
            "SET updated_at = :now, progress = :progress",
            "#status = :processing AND lease_holder = :holder",
            {":processing": Status.PROCESSING, ":now": now, ":holder": holder, ":progress": progress},
        )

    def complete(
        self,
        job_id: str,
        *,
        now: float,
        holder: str,
        source: Source,
        result: Result,
        warnings: tuple[Notice, ...],
        expires_at: float,
        lease_expires_at: float,
        secret_hash: str | None,
    ) -> Job:
        """``processing`` -> ``ready``. ``secret_hash`` is the link of a direct upload; an API job has one already.

        The lease is shortened to what the announcement needs.
        """
        return self._transition(
            job_id,
            "SET #status = :ready, updated_at = :now, progress = :all, #source = :source, #result = :result,"
            " warnings = :warnings, expires_at = :expires_at, delete_at = :delete_at,"
            " lease_expires_at = :lease_expires_at, sweep = :due, sweep_at = :sweep_at"
            + (", secret_hash = :secret_hash" if secret_hash else ""),
            "#status = :processing AND lease_holder = :holder",
            {
                ":processing": Status.PROCESSING,
                ":ready": Status.READY,
                ":now": now,
                ":holder": holder,
                ":all": 1.0,
                ":source": asdict(source),
                ":result": asdict(result),
                ":warnings": [warning.as_json() for warning in warnings],
                ":expires_at": expires_at,
                ":delete_at": int(expires_at) + RECORD_SECONDS,
                ":lease_expires_at": lease_expires_at,
                ":due": _DUE,
                ":sweep_at": min(expires_at, lease_expires_at + RETRY_GRACE_SECONDS),
            }
            | ({":secret_hash": secret_hash} if secret_hash else {}),
            holder=holder,
            leaves=(Status.READY,),
        )

    def fail(
        self, job_id: str, *, now: float, holder: str, error: Notice, lease_expires_at: float, retryable: bool
    ) -> Job:
        """``processing`` -> ``failed``. ``retryable``: our fault, a redriven event may begin again."""
        return self._transition(
            job_id,
            "SET #status = :failed, updated_at = :now, #error = :error, lease_expires_at = :lease_expires_at,"
            " retryable = :retryable, sweep = :due, sweep_at = :sweep_at",
            "#status = :processing AND lease_holder = :holder",
            {
                ":processing": Status.PROCESSING,
                ":failed": Status.FAILED,
                ":now": now,
                ":holder": holder,
                ":error": error.as_json(),
                ":lease_expires_at": lease_expires_at,
                ":retryable": retryable,
                ":due": _DUE,
                ":sweep_at": lease_expires_at + RETRY_GRACE_SECONDS,
            },
            holder=holder,
            leaves=(Status.FAILED,),
        )

    def release(self, job_id: str, *, now: float, holder: str) -> None:
        """Give the lease back, so that a retry may begin at once."""
        self._transition(
            job_id,
            "SET updated_at = :now, lease_expires_at = :now, sweep = :due, sweep_at = :sweep_at",
            "#status = :processing AND lease_holder = :holder",
            {
                ":processing": Status.PROCESSING,
                ":now": now,
                ":holder": holder,
                ":due": _DUE,
                ":sweep_at": now + RETRY_GRACE_SECONDS,
            },
        )

    def begin_announcement(self, job_id: str, *, now: float, lease_expires_at: float, secret_hash: str | None) -> Job:
        """Take over the announcement of an ended job whose event never went out, with a fresh link where it has one."""
        holder = secrets.token_hex(8)
        return self._transition(
            job_id,
            "SET lease_holder = :holder, lease_expires_at = :lease_expires_at, sweep = :due, sweep_at = :sweep_at"
            + (", secret_hash = :secret_hash" if secret_hash else ""),
            "#status IN (:ready, :failed) AND announced = :false AND lease_expires_at <= :now",
            {
                ":ready": Status.READY,
                ":failed": Status.FAILED,
                ":now": now,
                ":holder": holder,
                ":lease_expires_at": lease_expires_at,
                ":due": _DUE,
                ":sweep_at": lease_expires_at + RETRY_GRACE_SECONDS,
                ":false": False,
            }
            | ({":secret_hash": secret_hash} if secret_hash else {}),
            holder=holder,
            leaves=(Status.READY, Status.FAILED),
        )

    def end_announcement(self, job_id: str, *, holder: str) -> None:
        """Note that the event went out. Refused when the job is no longer the one that it told of."""
        self._transition(
            job_id,
            "SET announced = :true, sweep = :due, sweep_at = expires_at",
            "#status IN (:ready, :failed) AND lease_holder = :holder",
            {":ready": Status.READY, ":failed": Status.FAILED, ":holder": holder, ":due": _DUE, ":true": True},
        )

    def renew_link(self, job_id: str, *, now: float, secret_hash: str) -> Job:
        """Replace the links of a ``ready`` job: those before it are dead, and passphrases may be tried again."""
        return self._transition(
            job_id,
            "SET updated_at = :now, secret_hash = :secret_hash, passphrase_tries = :none REMOVE more_secret_hashes",
            "#status = :ready AND expires_at > :now",
            {":ready": Status.READY, ":now": now, ":secret_hash": secret_hash, ":none": 0},
        )

    def add_link(self, job_id: str, *, now: float, secret_hash: str) -> Job:
        """One more link of an API job that is not over; those before it go on working. Refused after twenty."""
        try:
            return self._transition(
                job_id,
                "ADD more_secret_hashes :hashes",
                "#status IN (:awaiting, :processing, :ready, :failed) AND expires_at > :now"
                " AND (attribute_not_exists(more_secret_hashes) OR size(more_secret_hashes) < :most)",
                {
                    ":awaiting": Status.AWAITING_UPLOAD,
                    ":processing": Status.PROCESSING,
                    ":ready": Status.READY,
                    ":failed": Status.FAILED,
                    ":now": now,
                    ":hashes": {secret_hash},
                    ":most": MAX_MORE_LINKS,
                },
            )
        except Refused as refused:
            if refused.job and secret_hash in (refused.job.more_secret_hashes or ()):
                return refused.job  # the answer to our own write was lost
            raise

    def count_passphrase_try(self, job_id: str, *, now: float, secret_hash: str, most: int) -> Job:
        """Count a try before it is compared, so that any number of tries at once are no more than ``most``."""
        return self._transition(
            job_id,
            "ADD passphrase_tries :one",
            "#status = :ready AND expires_at > :now"
            " AND (secret_hash = :secret_hash OR contains(more_secret_hashes, :secret_hash))"
            " AND (attribute_not_exists(passphrase_tries) OR passphrase_tries < :most)",
            {":ready": Status.READY, ":now": now, ":secret_hash": secret_hash, ":most": most, ":one": 1},
        )

    def claim(self, job_id: str, *, now: float, secret_hash: str, purge_at: float, holder: str | None = None) -> Job:
        """``ready`` -> ``claimed``: of any number of simultaneous callers exactly one is not refused.

        A caller that names itself as ``holder`` gets its own claim, as it was granted, whenever it asks again. Nobody
        else may be able to guess the name.
        """
        holder = holder or secrets.token_hex(8)
        return self._transition(
            job_id,
            "SET #status = :claimed, updated_at = :now, claimed_at = :now, purge_at = :purge_at,"
            " lease_holder = :holder, announced = :false, sweep = :due, sweep_at = :sweep_at",
            "#status = :ready AND expires_at > :now"
            " AND (secret_hash = :secret_hash OR contains(more_secret_hashes, :secret_hash))",
            {
                ":ready": Status.READY,
                ":claimed": Status.CLAIMED,
                ":now": now,
                ":secret_hash": secret_hash,
                ":purge_at": purge_at,
                ":holder": holder,
                ":due": _DUE,
                ":sweep_at": purge_at + SWEEP_GRACE_SECONDS,
                ":false": False,
            },
            holder=holder,
            leaves=(Status.CLAIMED,),
        )

    def end_claim_announcement(self, job_id: str) -> None:
        """Note that the event of a claim went out."""
        self._transition(
            job_id, "SET announced = :true", "#status = :claimed", {":claimed": Status.CLAIMED, ":true": True}
        )

    def purge(self, job_id: str, *, now: float) -> Job:
        """``claimed`` -> ``purged``, when the download window is over and it was seen that the file is gone."""
        return self._transition(
            job_id,
            "SET #status = :purged, updated_at = :now, deleted_at = :now, sweep = :due, sweep_at = :sweep_at",
            "#status = :claimed AND purge_at <= :now",
            {
                ":claimed": Status.CLAIMED,
                ":purged": Status.PURGED,
                ":now": now,
                ":due": _DUE,
                ":sweep_at": now + SWEEP_GRACE_SECONDS,
            },
        )

    def delete(self, job_id: str, *, now: float) -> Job:
        """Any state -> ``purged`` without a ``purge_at``. Refused only for a job that does not exist."""
        return self._transition(
            job_id,
            "SET #status = :purged, updated_at = :now, sweep = :due, sweep_at = :sweep_at REMOVE purge_at, deleted_at",
            "attribute_exists(id)",
            {":purged": Status.PURGED, ":now": now, ":due": _DUE, ":sweep_at": now + SWEEP_GRACE_SECONDS},
        )

    def expire(self, job_id: str, *, now: float) -> Job:
        """``awaiting-upload`` or ``ready`` -> ``expired``, when its time is over."""
        return self._transition(
            job_id,
            "SET #status = :expired, updated_at = :now",
            "#status IN (:awaiting, :ready) AND expires_at <= :now",
            {":awaiting": Status.AWAITING_UPLOAD, ":ready": Status.READY, ":expired": Status.EXPIRED, ":now": now},
        )

    def close_failed(self, job_id: str, *, now: float) -> Job:
        """A ``failed`` job whose time is over takes no other upload, and is not begun again."""
        return self._transition(
            job_id,
            "SET updated_at = :now, retryable = :false",
            "#status = :failed AND expires_at <= :now",
            {":failed": Status.FAILED, ":now": now, ":false": False},
        )

    def fail_abandoned(self, job_id: str, *, now: float, error: Notice, lease_expires_at: float) -> Job:
        """``processing`` -> ``failed`` by our fault, where the last attempt was killed and no other has come."""
        holder = secrets.token_hex(8)
        return self._transition(
            job_id,
            "SET #status = :failed, updated_at = :now, #error = :error, retryable = :true, announced = :false,"
            " lease_holder = :holder, lease_expires_at = :lease_expires_at",
            "#status = :processing AND lease_expires_at <= :long_ago",
            {
                ":processing": Status.PROCESSING,
                ":failed": Status.FAILED,
                ":now": now,
                ":long_ago": now - RETRY_GRACE_SECONDS,
                ":error": error.as_json(),
                ":holder": holder,
                ":lease_expires_at": lease_expires_at,
                ":true": True,
                ":false": False,
            },
            holder=holder,
            leaves=(Status.FAILED,),
        )

    def note_deletion(self, job_id: str, *, now: float, status: Status) -> Job:
        """It was seen that nothing is left of a job that is over, and still has this status."""
        return self._transition(
            job_id,
            "SET deleted_at = if_not_exists(deleted_at, :now)",
            "#status = :status",
            {":status": status, ":now": now},
        )

    def end_sweep(self, job_id: str, *, status: Status) -> None:
        """There is nothing left to do for a job that is over, and still has this status."""
        self._transition(
            job_id,
            "SET announced = :true REMOVE sweep, sweep_at",
            "#status = :status AND attribute_exists(deleted_at)",
            {":status": status, ":true": True},
        )

    def list_due(self, *, now: float, limit: int, start: Mapping[str, Any] | None = None) -> DueJobs:
        """The jobs that the sweep should look at, the longest overdue first."""
        page = {"ExclusiveStartKey": start} if start else {}
        with aws_errors():
            answer = self._client.query(
                TableName=self._table,
                IndexName=_BY_SWEEP_TIME,
                KeyConditionExpression="sweep = :due AND sweep_at <= :now",
                ExpressionAttributeValues=_item({":due": _DUE, ":now": now}),
                Limit=limit,
                **page,  # type: ignore[arg-type]
            )
        items = answer["Items"]
        return DueJobs(
            [item["id"]["S"] for item in items],
            float(items[0]["sweep_at"]["N"]) if items else None,
            answer.get("LastEvaluatedKey"),
        )

    def begin_sweep(self, job_id: str, *, now: float, again_at: float) -> Job:
        """Take a due job; whatever becomes of that, it is due again at ``again_at``. Refused if another took it."""
        return self._transition(
            job_id,
            "SET sweep_at = :again_at",
            "sweep_at <= :now",
            {":now": now, ":again_at": again_at},
        )

    def _transition(
        self,
        job_id: str,
        update: str,
        condition: str,
        values: Mapping[str, Any],
        *,
        holder: str | None = None,
        leaves: tuple[Status, ...] = (),
    ) -> Job:
        """One conditional write, and the job after it. ``#name`` in an expression stands for ``name``.

        A transition that happens once names its ``holder`` and the states that it ``leaves`` the job in: a stored job
        that has both was written by this very call, whatever the answer says.
        """
        if not _JOB_ID.fullmatch(job_id):
            raise Refused(None)
        try:
            with aws_errors():
                answer = self._client.update_item(
                    TableName=self._table,
                    Key=_key(job_id),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeValues=_item(values),
                    ReturnValues="ALL_NEW",
                    **_names(update, condition),
                )
        except (ConditionFailed, InternalError) as error:
            if isinstance(error, InternalError) and not leaves:
                raise
            stored_job = self.get(job_id)
            if stored_job and leaves and stored_job.lease_holder == holder and stored_job.status in leaves:
                return stored_job
            if isinstance(error, InternalError):
                raise
            raise Refused(stored_job) from error
        return _job(answer["Attributes"])


def _names(*expressions: str) -> dict[str, Any]:
    """``#status`` stands for ``status``, and so on: names that DynamoDB reserves can't be spelled out."""
    placeholders = {name for expression in expressions for name in re.findall(r"#\w+", expression)}
    return {"ExpressionAttributeNames": {name: name[1:] for name in placeholders}} if placeholders else {}


def _key(job_id: str) -> dict[str, Any]:
    return {"id": {"S": job_id}}


def _item(values: Mapping[str, Any]) -> dict[str, Any]:
    serializer = TypeSerializer()
    return {name: serializer.serialize(_storable(value)) for name, value in values.items()}


def _job(item: Mapping[str, Any]) -> Job:
    deserializer = TypeDeserializer()
    record = {name: _plain(deserializer.deserialize(value)) for name, value in item.items()}
    record.setdefault("warnings", [])
    return from_record(record)


def _storable(value: Any) -> Any:
    """DynamoDB takes decimals, not floats."""
    match value:
        case float():
            return Decimal(str(value))
        case dict():
            return {name: _storable(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_storable(inner) for inner in value]
        case _:
            return value


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case _:
            return value


def _next_token(last_key: Mapping[str, Any]) -> str:
    position = [last_key["id"]["S"], last_key["created_at"]["N"]]
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _page_start(name: str, value: str, next_token: str) -> dict[str, Any]:
    """Only the position comes from the token; what is listed is what was asked for."""
    try:
        job_id, created_at = json.loads(base64.urlsafe_b64decode(next_token.encode()))
        if not (_JOB_ID.fullmatch(job_id) and _MOMENT.fullmatch(created_at)):
            raise ValueError
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise InvalidRequest(
            "next_token is not valid. Send the one from the page before, unchanged.", field="next_token"
        ) from error
    return {"id": {"S": job_id}, "created_at": {"N": created_at}, name: {"S": value}}
