"""The few calls that the service makes of AWS, in memory and a hundred times as fast as moto.

Conditions and updates of DynamoDB are evaluated as they are written in the code; ``test_in_memory_aws.py`` holds this
to what moto answers. Each call goes through ``AwsInMemory.around``, where a test may suspend, fail or kill.
"""

from __future__ import annotations

import hashlib
import io
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

Item = Mapping[str, Any]
Perform = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class StoredObject:
    body: bytes
    etag: str
    last_modified: datetime
    metadata: Mapping[str, str]


@dataclass(slots=True)
class PartsUnderWay:
    """A multipart upload that was neither completed nor aborted. ``parts`` by number."""

    bucket: str
    key: str
    initiated: datetime
    parts: dict[int, StoredObject] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class QueuedMessage:
    body: str
    sent_at: float
    due_at: float


@dataclass(slots=True)
class AwsInMemory:
    """One table, buckets that need no creation, one queue and one event bus. ``files`` is the local disk."""

    clock: Callable[[], float]
    around: Callable[[str, Perform], Any] = lambda _operation, perform: perform()
    items: dict[str, Item] = field(default_factory=dict)
    objects: dict[tuple[str, str], StoredObject] = field(default_factory=dict)
    in_parts: dict[str, PartsUnderWay] = field(default_factory=dict)
    messages: list[QueuedMessage] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)

    def client(self) -> Any:
        """A client of every service at once; the names of their calls do not meet."""
        return _Client(self)

    def state(self) -> tuple[Any, ...]:
        """All that AWS holds, for :meth:`restore`."""
        return self.items, self.objects, self.in_parts, self.messages, self.events

    def restore(self, state: tuple[Any, ...]) -> None:
        self.items, self.objects, self.in_parts, self.messages, self.events = state

    def put(self, bucket: str, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> StoredObject:
        stored = self.objects[bucket, key] = StoredObject(body, etag_of(body), self.moment(), metadata or {})
        return stored

    def moment(self) -> datetime:
        """As S3 tells it: in whole seconds."""
        return datetime.fromtimestamp(int(self.clock()), UTC)


class _Client:
    def __init__(self, aws: AwsInMemory) -> None:
        self._aws = aws

    def __getattr__(self, name: str) -> Callable[..., Any]:
        perform = getattr(_Calls, name)
        operation = "".join(part.capitalize() for part in name.split("_"))
        return lambda **parameters: self._aws.around(operation, lambda: perform(self._aws, **parameters))

    def upload_file(self, filename: str, bucket: str, key: str, **_: Any) -> None:
        body = self._aws.files.pop(filename, None) or Path(filename).read_bytes()
        try:
            self._aws.around("PutObject", lambda: self._aws.put(bucket, key, body))
        except ClientError as error:
            raise S3UploadFailedError(str(error)) from error

    def get_paginator(self, name: str) -> _Paginator:
        return _Paginator(getattr(self, name))

    def generate_presigned_url(self, _operation: str, *, Params: Mapping[str, Any], **_: Any) -> str:  # noqa: N803
        return f"https://{Params['Bucket']}.invalid/{Params['Key']}"


class _Paginator:
    """Of one page."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def paginate(self, **parameters: Any) -> Iterator[Any]:
        yield self._call(**parameters)


class _Calls:
    """Named as boto3 names them, with parameters as boto3 spells them."""

    @staticmethod
    def get_item(aws: AwsInMemory, *, Key: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        item = aws.items.get(Key["id"]["S"])
        return {"Item": item} if item is not None else {}

    @staticmethod
    def query(
        aws: AwsInMemory,
        *,
        KeyConditionExpression: str,  # noqa: N803
        ExpressionAttributeValues: Mapping[str, Any],  # noqa: N803
        FilterExpression: str | None = None,  # noqa: N803
        IndexName: str | None = None,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        expressions = [KeyConditionExpression, *([FilterExpression] if FilterExpression else [])]
        if placeholders(" ".join(expressions)) != {*ExpressionAttributeValues}:
            raise refused("ValidationException", 400)
        by_key, *filters = map(condition, expressions)
        scanned = [item for item in aws.items.values() if by_key(item, {}, ExpressionAttributeValues)]
        found = [item for item in scanned if all(by(item, {}, ExpressionAttributeValues) for by in filters)]
        if IndexName == "by-sweep-time":
            found.sort(key=lambda item: Decimal(item["sweep_at"]["N"]))
        return {"Items": found, "Count": len(found), "ScannedCount": len(scanned)}

    @staticmethod
    def put_item(aws: AwsInMemory, *, Item: Item, ConditionExpression: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        job_id = Item["id"]["S"]
        if not condition(ConditionExpression)(aws.items.get(job_id) or {}, {}, {}):
            raise refused("ConditionalCheckFailedException", 400)
        aws.items[job_id] = dict(Item)
        return {}

    @staticmethod
    def update_item(
        aws: AwsInMemory,
        *,
        Key: Any,  # noqa: N803
        UpdateExpression: str,  # noqa: N803
        ConditionExpression: str,  # noqa: N803
        ExpressionAttributeNames: Mapping[str, str] = MappingProxyType({}),  # noqa: N803
        ExpressionAttributeValues: Mapping[str, Any],  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        names, values = ExpressionAttributeNames, ExpressionAttributeValues
        used = placeholders(UpdateExpression) | placeholders(ConditionExpression)
        if used != {*names, *values}:
            raise refused("ValidationException", 400)
        before = aws.items.get(Key["id"]["S"]) or {}
        if not condition(ConditionExpression)(before, names, values):
            raise refused("ConditionalCheckFailedException", 400)
        after = update(UpdateExpression)({**before, **Key}, names, values)
        aws.items[Key["id"]["S"]] = after
        return {"Attributes": after}

    @staticmethod
    def head_object(aws: AwsInMemory, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        stored = aws.objects.get((Bucket, Key))
        if stored is None:
            raise refused("404", 404)
        return {
            "ETag": stored.etag,
            "LastModified": stored.last_modified,
            "ContentLength": len(stored.body),
            "Metadata": dict(stored.metadata),
        }

    @staticmethod
    def get_object(
        aws: AwsInMemory,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
        Range: str,  # noqa: N803
    ) -> dict[str, Any]:
        stored = _pinned(aws, Bucket, Key, IfMatch)
        first, _, last = Range.removeprefix("bytes=").partition("-")
        part = stored.body[int(first) : int(last) + 1 if last else None]
        if not part:
            raise refused("InvalidRange", 416)
        return {
            "Body": StreamingBody(io.BytesIO(part), len(part)),
            "ContentLength": len(part),
            "ContentRange": f"bytes {first}-{int(first) + len(part) - 1}/{len(stored.body)}",
            "ETag": stored.etag,
            "LastModified": stored.last_modified,
            "Metadata": dict(stored.metadata),
        }

    @staticmethod
    def copy_object(
        aws: AwsInMemory,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        CopySource: Mapping[str, str],  # noqa: N803
        CopySourceIfMatch: str,  # noqa: N803
        **_: Any,
    ) -> dict[str, Any]:
        source = _pinned(aws, CopySource["Bucket"], CopySource["Key"], CopySourceIfMatch)
        aws.put(Bucket, Key, source.body)
        return {}

    @staticmethod
    def delete_object(aws: AwsInMemory, *, Bucket: str, Key: str, IfMatch: str | None = None) -> dict[str, Any]:  # noqa: N803
        if IfMatch is not None:
            _pinned(aws, Bucket, Key, IfMatch)
        aws.objects.pop((Bucket, Key), None)
        return {}

    @staticmethod
    def create_multipart_upload(aws: AwsInMemory, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        upload_id = secrets.token_hex(8)
        aws.in_parts[upload_id] = PartsUnderWay(Bucket, Key, aws.moment())
        return {"UploadId": upload_id}

    @staticmethod
    def list_multipart_uploads(aws: AwsInMemory, *, Bucket: str) -> dict[str, Any]:  # noqa: N803
        under_way = [(name, upload) for name, upload in aws.in_parts.items() if upload.bucket == Bucket]
        return {
            "Uploads": [
                {"Key": upload.key, "UploadId": name, "Initiated": upload.initiated} for name, upload in under_way
            ]
        }

    @staticmethod
    def upload_part(
        aws: AwsInMemory,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        PartNumber: int,  # noqa: N803
        Body: bytes,  # noqa: N803
    ) -> dict[str, Any]:
        part = StoredObject(Body, etag_of(Body), aws.moment(), {})
        _under_way(aws, Bucket, Key, UploadId).parts[PartNumber] = part
        return {"ETag": part.etag}

    @staticmethod
    def list_parts(aws: AwsInMemory, *, Bucket: str, Key: str, UploadId: str) -> dict[str, Any]:  # noqa: N803
        parts = sorted(_under_way(aws, Bucket, Key, UploadId).parts.items())
        return {"Parts": [{"PartNumber": number, "Size": len(part.body), "ETag": part.etag} for number, part in parts]}

    @staticmethod
    def complete_multipart_upload(
        aws: AwsInMemory,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        UploadId: str,  # noqa: N803
        MultipartUpload: Any,  # noqa: N803
    ) -> dict[str, Any]:
        """S3 tells of such an object that it was last modified when the upload began."""
        upload = _under_way(aws, Bucket, Key, UploadId)
        named = {part["PartNumber"]: part["ETag"] for part in MultipartUpload["Parts"]}
        if any(number not in upload.parts or upload.parts[number].etag != etag for number, etag in named.items()):
            raise refused("InvalidPart", 400)
        body = b"".join(upload.parts[number].body for number in sorted(named))
        digest = hashlib.md5("".join(named.values()).encode(), usedforsecurity=False).hexdigest()
        etag = f'"{digest}-{len(named)}"'
        aws.objects[Bucket, Key] = StoredObject(body, etag, upload.initiated, {})
        del aws.in_parts[UploadId]
        return {"ETag": etag}

    @staticmethod
    def abort_multipart_upload(aws: AwsInMemory, *, Bucket: str, Key: str, UploadId: str) -> dict[str, Any]:  # noqa: N803
        _under_way(aws, Bucket, Key, UploadId)
        del aws.in_parts[UploadId]
        return {}

    @staticmethod
    def send_message(aws: AwsInMemory, *, MessageBody: str, DelaySeconds: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        aws.messages.append(QueuedMessage(MessageBody, aws.clock(), aws.clock() + DelaySeconds))
        return {}

    @staticmethod
    def put_events(aws: AwsInMemory, *, Entries: list[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803
        aws.events += Entries
        return {"FailedEntryCount": 0}


def _pinned(aws: AwsInMemory, bucket: str, key: str, etag: str | None) -> StoredObject:
    stored = aws.objects.get((bucket, key))
    if stored is None:
        raise refused("NoSuchKey", 404)
    if etag and stored.etag != etag:
        raise refused("PreconditionFailed", 412)
    return stored


def _under_way(aws: AwsInMemory, bucket: str, key: str, upload_id: str) -> PartsUnderWay:
    upload = aws.in_parts.get(upload_id)
    if upload is None or (upload.bucket, upload.key) != (bucket, key):
        raise refused("NoSuchUpload", 404)
    return upload


def etag_of(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def refused(code: str, status: int) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Operation")


# DynamoDB's expressions: the part of the language that the store uses. Anything else raises.

_TOKEN = re.compile(r"\s*(<=|>=|<>|[=<>(),]|[#:]?\w+)")
Value = Mapping[str, Any] | None
Condition = Callable[[Item, Mapping[str, str], Mapping[str, Any]], bool]
Operand = Callable[[Item, Mapping[str, str], Mapping[str, Any]], Value]
Update = Callable[[dict[str, Any], Mapping[str, str], Mapping[str, Any]], dict[str, Any]]

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


@lru_cache(maxsize=256)
def placeholders(expression: str) -> frozenset[str]:
    return frozenset(re.findall(r"[#:]\w+", expression))


@lru_cache(maxsize=256)
def condition(expression: str) -> Condition:
    """A condition expression, ready to be asked about an item; the item of a key that is not there is empty."""
    parser = _Parser(expression)
    parsed = parser.any_of()
    parser.expect_end()
    return parsed


@lru_cache(maxsize=256)
def update(expression: str) -> Update:
    """An update expression: the item before, the item after. Every operand is what it was before."""
    parser = _Parser(expression)
    steps = list(parser.clauses())

    def apply(before: dict[str, Any], names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
        after = dict(before)
        for step in steps:
            step(before, after, names, values)
        return after

    return apply


class _Parser:
    def __init__(self, expression: str) -> None:
        self._tokens = _TOKEN.findall(expression)
        if "".join(self._tokens) != re.sub(r"\s", "", expression):
            raise ValueError(expression)
        self._position = 0

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _next(self, expected: str | None = None) -> str:
        token = self._peek()
        if not token or (expected and token != expected):
            raise ValueError(f"{token} instead of {expected} in {' '.join(self._tokens)}")
        self._position += 1
        return token

    def _is_next(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._position += 1
        return True

    def expect_end(self) -> None:
        if self._peek():
            raise ValueError(" ".join(self._tokens))

    def any_of(self) -> Condition:
        parts = [self._all_of()]
        while self._is_next("OR"):
            parts.append(self._all_of())
        return lambda item, names, values: any(part(item, names, values) for part in parts)

    def _all_of(self) -> Condition:
        parts = [self._single()]
        while self._is_next("AND"):
            parts.append(self._single())
        return lambda item, names, values: all(part(item, names, values) for part in parts)

    def _single(self) -> Condition:
        if self._is_next("("):
            inner = self.any_of()
            self._next(")")
            return inner
        if self._peek() in ("attribute_exists", "attribute_not_exists"):
            wanted = self._next() == "attribute_exists"
            self._next("(")
            operand = self._operand()
            self._next(")")
            return lambda item, names, values: (operand(item, names, values) is not None) is wanted
        if self._is_next("contains"):
            self._next("(")
            members = self._operand()
            self._next(",")
            member = self._operand()
            self._next(")")
            return lambda item, names, values: _contains(members(item, names, values), member(item, names, values))
        left = self._operand()
        if self._is_next("IN"):
            self._next("(")
            choices = [self._operand()]
            while self._is_next(","):
                choices.append(self._operand())
            self._next(")")
            return lambda item, names, values: any(
                _compare("=", left(item, names, values), choice(item, names, values)) for choice in choices
            )
        comparison = self._next()
        right = self._operand()
        return lambda item, names, values: _compare(comparison, left(item, names, values), right(item, names, values))

    def _operand(self) -> Operand:
        token = self._next()
        if token == "if_not_exists":
            self._next("(")
            path = self._operand()
            self._next(",")
            otherwise = self._operand()
            self._next(")")
            return lambda item, names, values: path(item, names, values) or otherwise(item, names, values)
        if token == "size":
            self._next("(")
            measured = self._operand()
            self._next(")")
            return lambda item, names, values: _size(measured(item, names, values))
        if token.startswith(":"):
            return lambda _item, _names, values: values[token]
        if token.startswith("#"):
            return lambda item, names, _values: item.get(names[token])
        return lambda item, _names, _values: item.get(token)

    def clauses(self) -> Iterator[Callable[..., None]]:
        kind = ""
        while self._peek():
            if self._peek() in ("SET", "ADD", "REMOVE"):
                kind = self._next()
            elif self._next(","):
                pass
            name = self._next()
            if kind == "SET":
                self._next("=")
                yield _set(name, self._operand())
            elif kind == "ADD":
                yield _add(name, self._operand())
            elif kind == "REMOVE":
                yield _remove(name)
            else:
                raise ValueError(name)


def _compare(comparison: str, left: Value, right: Value) -> bool:
    """Values of two types are neither equal nor in order; what is not there differs from everything."""
    if left is None or right is None or left.keys() != right.keys():
        return comparison == "<>"
    ((kind, left_value),) = left.items()
    (right_value,) = right.values()
    if kind == "N":
        left_value, right_value = Decimal(left_value), Decimal(right_value)
    return _COMPARISONS[comparison](left_value, right_value)


def _contains(members: Value, member: Value) -> bool:
    return bool(members and member and member["S"] in members.get("SS", ()))


def _size(value: Value) -> Value:
    """Of a set of strings, or a string in ASCII."""
    return {"N": str(len(next(iter(value.values()))))} if value else None


def _set(name: str, operand: Operand) -> Callable[..., None]:
    def step(before: Item, after: dict[str, Any], names: Mapping[str, str], values: Mapping[str, Any]) -> None:
        after[names.get(name, name)] = operand(before, names, values)

    return step


def _add(name: str, operand: Operand) -> Callable[..., None]:
    def step(before: Item, after: dict[str, Any], names: Mapping[str, str], values: Mapping[str, Any]) -> None:
        added = operand(before, names, values) or {}
        there = before.get(names.get(name, name))
        if "SS" in added:
            after[names.get(name, name)] = {"SS": sorted({*(there or {"SS": ()})["SS"], *added["SS"]})}
        else:
            after[names.get(name, name)] = {"N": str(Decimal(there["N"] if there else 0) + Decimal(added["N"]))}

    return step


def _remove(name: str) -> Callable[..., None]:
    def step(_before: Item, after: dict[str, Any], names: Mapping[str, str], _values: Mapping[str, Any]) -> None:
        after.pop(names.get(name, name), None)

    return step
