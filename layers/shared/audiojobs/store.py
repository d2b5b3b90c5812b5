"""The jobs table: each transition is one conditional write, and only this module knows the conditions.

A refused transition raises :class:`Refused` with the job as it is, so that the caller can say why.

The answer to a write can be lost on the way, and its repetition by boto3 meets what the first one wrote: a transition
that happens once carries a random holder, and who finds its own there knows that it went through.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from audiojobs.errors import InternalError, InvalidRequest
from audiojobs.job import Job, Notice, Origin, Result, Source, Status, as_record, from_record

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RECORD_SECONDS = 7 * 24 * 3600
"""How long the record of a job stays (it holds no audio): longer than S3 delivers late events or keeps an object."""

_FAILURES = (ClientError, BotoCoreError)
_BY_UPLOAD_KEY = "by-upload-key"

# Callers send what they like as an id or as a page's start. DynamoDB fails on a key that is too long or a number that
# is none, and that would look like our fault.
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_MOMENT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,20})?", re.ASCII)


class Refused(Exception):
    """A transition's condition did not hold. ``job`` is what stands in the table, ``None`` if nothing does."""

    def __init__(self, job: Job | None) -> None:
        super().__init__(f"refused: the job is {job.status if job else 'unknown'}")
        self.job = job


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
        try:
            answer = self._client.get_item(TableName=self._table, Key=_key(job_id), ConsistentRead=True)
        except _FAILURES as error:
            raise InternalError from error
        return _job(answer["Item"]) if "Item" in answer else None

    def get_by_link(self, job_id: str, *, secret_hash: str) -> Job | None:
        """The job as last written, for who knows the secret of its link (a consistent read).

        DynamoDB compares the hashes, of 256 random bits: a wrong secret and an unknown job get the same answer, and
        leave the same work to be done.
        """
        if not _JOB_ID.fullmatch(job_id):
            return None
        try:
            answer = self._client.query(
                TableName=self._table,
                KeyConditionExpression="id = :id",
                FilterExpression="secret_hash = :hash",
                ExpressionAttributeValues=_item({":id": job_id, ":hash": secret_hash}),
                ConsistentRead=True,
            )
        except _FAILURES as error:
            raise InternalError from error
        return next(map(_job, answer["Items"]), None)

    def list_by_upload_key(
        self, upload_key: str, *, limit: int = 20, next_token: str | None = None
    ) -> tuple[list[Job], str | None]:
        """The jobs of an upload key, newest first, and the token of the next page.

        Raises :class:`~audiojobs.errors.InvalidRequest` for a token that is none of ours.
        """
        start = {"ExclusiveStartKey": _page_start(upload_key, next_token)} if next_token else {}
        try:
            answer = self._client.query(
                TableName=self._table,
                IndexName=_BY_UPLOAD_KEY,
                KeyConditionExpression="upload_key = :key",
                ExpressionAttributeValues={":key": {"S": upload_key}},
                ScanIndexForward=False,
                Limit=limit,
                **start,  # type: ignore[arg-type]
            )
        except _FAILURES as error:
            raise InternalError from error
        last = answer.get("LastEvaluatedKey")
        return [_job(item) for item in answer["Items"]], _next_token(last) if last else None

    def create(self, job: Job) -> None:
        """Write a new job. Raises :class:`Refused` if its id is taken."""
        try:
            self._client.put_item(
                TableName=self._table, Item=_item(as_record(job)), ConditionExpression="attribute_not_exists(id)"
            )
        except _FAILURES as error:
            if not _is_condition(error):
                raise InternalError from error
            there = self.get(job.id)
            if there != job:
                raise Refused(there) from error

    def begin(self, job: Job, *, now: float, holder: str, request_id: str, lease_expires_at: float) -> Job:
        """``awaiting-upload`` (or, for a direct upload, nothing) -> ``processing``, under a lease.

        A lease that ran out is taken over, and so is a failure of ours. A retry of the invocation that holds the lease
        takes over at once: Lambda retries when the attempt before has ended. ``job`` gives a direct upload's first
        values.
        """
        fresh = {
            "status": Status.PROCESSING,
            "updated_at": now,
            "progress": 0.0,
            "lease_holder": holder,
            "lease_request_id": request_id,
            "lease_expires_at": lease_expires_at,
            "retryable": False,
            "announced": False,
        }
        condition = (
            "(#status = :awaiting AND expires_at > :now)"
            " OR (#status = :processing AND lease_expires_at <= :now)"
            " OR (#status = :processing AND lease_request_id = :request AND lease_holder <> :holder)"
            " OR (#status = :failed AND retryable = :true)"
        )
        initial: dict[str, Any] = {}
        if job.origin is Origin.DIRECT:
            condition = f"attribute_not_exists(id) OR {condition}"
            initial = {
                name: value
                for name, value in as_record(job).items()
                if name not in fresh and name not in ("id", "attempts", "warnings")
            }
        return self._update(
            job.id,
            fresh,
            initial=initial,
            add={"attempts": 1},
            remove=("error",),
            condition=condition,
            names={"#status": "status"},
            own=(holder, Status.PROCESSING),
            values={
                ":awaiting": Status.AWAITING_UPLOAD,
                ":processing": Status.PROCESSING,
                ":failed": Status.FAILED,
                ":now": now,
                ":request": request_id,
                ":holder": holder,
                ":true": True,
            },
        )

    def record_progress(self, job_id: str, *, now: float, holder: str, progress: float) -> None:
        """Note how far the work is (0..1). Refused when the lease is no longer ours: then stop working."""
        self._update_leased(job_id, {"updated_at": now, "progress": progress}, holder=holder)

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
        changes: dict[str, Any] = {
            "status": Status.READY,
            "updated_at": now,
            "progress": 1.0,
            "source": asdict(source),
            "result": asdict(result),
            "warnings": [asdict(warning) for warning in warnings],
            "expires_at": expires_at,
            "lease_expires_at": lease_expires_at,
        }
        if secret_hash:
            changes["secret_hash"] = secret_hash
        return self._update_leased(job_id, changes, holder=holder)

    def fail(
        self, job_id: str, *, now: float, holder: str, error: Notice, lease_expires_at: float, retryable: bool
    ) -> Job:
        """``processing`` -> ``failed``. ``retryable``: our fault, a redriven event may begin again."""
        changes = {
            "status": Status.FAILED,
            "updated_at": now,
            "error": asdict(error),
            "lease_expires_at": lease_expires_at,
            "retryable": retryable,
        }
        return self._update_leased(job_id, changes, holder=holder)

    def release(self, job_id: str, *, now: float, holder: str) -> None:
        """Give the lease back, so that a retry may begin at once."""
        self._update_leased(job_id, {"updated_at": now, "lease_expires_at": now}, holder=holder)

    def begin_announcement(self, job_id: str, *, now: float, lease_expires_at: float, secret_hash: str | None) -> Job:
        """Take over the announcement of an ended job whose event never went out, with a fresh link where it has one."""
        holder = secrets.token_hex(8)
        changes: dict[str, Any] = {"lease_holder": holder, "lease_expires_at": lease_expires_at}
        if secret_hash:
            changes["secret_hash"] = secret_hash
        return self._update(
            job_id,
            changes,
            condition="#status IN (:ready, :failed) AND announced = :false AND lease_expires_at <= :now",
            own=(holder, Status.READY, Status.FAILED),
            names={"#status": "status"},
            values={":ready": Status.READY, ":failed": Status.FAILED, ":false": False, ":now": now},
        )

    def end_announcement(self, job_id: str) -> None:
        """Note that the event went out."""
        self._update(job_id, {"announced": True}, condition="attribute_exists(id)")

    def renew_link(self, job_id: str, *, now: float, secret_hash: str) -> Job:
        """Replace the link of a ``ready`` job: the one before it is dead."""
        return self._update(
            job_id,
            {"updated_at": now, "secret_hash": secret_hash},
            condition="#status = :ready AND expires_at > :now",
            names={"#status": "status"},
            values={":ready": Status.READY, ":now": now},
        )

    def claim(self, job_id: str, *, now: float, secret_hash: str, purge_at: float, holder: str | None = None) -> Job:
        """``ready`` -> ``claimed``: of any number of simultaneous callers exactly one is not refused.

        A caller that names itself as ``holder`` gets its own claim, as it was granted, whenever it asks again. Nobody
        else may be able to guess the name.
        """
        holder = holder or secrets.token_hex(8)
        return self._update(
            job_id,
            {"status": Status.CLAIMED, "updated_at": now, "purge_at": purge_at, "lease_holder": holder},
            condition="#status = :ready AND expires_at > :now AND secret_hash = :hash",
            own=(holder, Status.CLAIMED),
            names={"#status": "status"},
            values={":ready": Status.READY, ":now": now, ":hash": secret_hash},
        )

    def purge(self, job_id: str, *, now: float) -> Job:
        """``claimed`` -> ``purged``, when the download window is over."""
        return self._update(
            job_id,
            {"status": Status.PURGED, "updated_at": now},
            condition="#status = :claimed AND purge_at <= :now",
            names={"#status": "status"},
            values={":claimed": Status.CLAIMED, ":now": now},
        )

    def delete(self, job_id: str, *, now: float) -> Job:
        """Any state -> ``purged`` without a ``purge_at``. Refused only for a job that does not exist."""
        return self._update(
            job_id,
            {"status": Status.PURGED, "updated_at": now},
            remove=("purge_at",),
            condition="attribute_exists(id)",
        )

    def _update_leased(self, job_id: str, changes: Mapping[str, Any], *, holder: str) -> Job:
        return self._update(
            job_id,
            changes,
            condition="#status = :processing AND lease_holder = :holder",
            own=(holder, changes.get("status")),
            names={"#status": "status"},
            values={":processing": Status.PROCESSING, ":holder": holder},
        )

    def _update(
        self,
        job_id: str,
        changes: Mapping[str, Any],
        *,
        condition: str,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        initial: Mapping[str, Any] | None = None,
        add: Mapping[str, int] | None = None,
        remove: tuple[str, ...] = (),
        own: tuple[str | None, ...] = (),
    ) -> Job:
        """One conditional write. ``initial`` values are only written where the attribute is not there yet.

        ``own`` is a holder and the status that this write leaves: a job that is refused but has both was written by
        this very call.
        """
        if not _JOB_ID.fullmatch(job_id):
            raise Refused(None)
        attributes = {**changes, **(initial or {}), **(add or {})}
        sets = [f"#a_{name} = :a_{name}" for name in changes]
        sets += [f"#a_{name} = if_not_exists(#a_{name}, :a_{name})" for name in initial or {}]
        expression = "SET " + ", ".join(sets)
        if add:
            expression += " ADD " + ", ".join(f"#a_{name} :a_{name}" for name in add)
        if remove:
            expression += " REMOVE " + ", ".join(f"#a_{name}" for name in remove)
        expression_values = {f":a_{name}": value for name, value in attributes.items()} | dict(values or {})
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key=_key(job_id),
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeNames={f"#a_{name}": name for name in (*attributes, *remove)} | dict(names or {}),
                ExpressionAttributeValues=_item(expression_values),
                ReturnValues="ALL_NEW",
            )
        except _FAILURES as error:
            if not _is_condition(error) and not any(own[1:]):
                raise InternalError from error
            there = self.get(job_id)
            if there and own and there.lease_holder == own[0] and there.status in own[1:]:
                return there
            raise (Refused(there) if _is_condition(error) else InternalError()) from error
        return _job(answer["Attributes"])


def _key(job_id: str) -> dict[str, Any]:
    return {"id": {"S": job_id}}


def _is_condition(error: Exception) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == "ConditionalCheckFailedException"


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


def _page_start(upload_key: str, next_token: str) -> dict[str, Any]:
    """Only the position comes from the token; the upload key is the one that was asked for."""
    try:
        job_id, created_at = json.loads(base64.urlsafe_b64decode(next_token.encode()))
        if not (_JOB_ID.fullmatch(job_id) and _MOMENT.fullmatch(created_at)):
            raise ValueError
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise InvalidRequest(
            "next_token is not valid. Send the one from the page before, unchanged.", field="next_token"
        ) from error
    return {"id": {"S": job_id}, "created_at": {"N": created_at}, "upload_key": {"S": upload_key}}
