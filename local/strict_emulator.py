"""The emulator, made as strict as AWS where it forgives: run as a script, in place of `python -m ministack`.

Each difference is one function here and one row of the table in local/README.md, with its source and its test. Two
kinds of hooks: a `Refusal` sees a request before the emulator does; the rest replaces one function of its S3 or Lambda.
The names of the emulator's functions are private: `hook` fails loudly at the start when a newer version lacks one.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from ministack import app as emulator
from ministack.core import iam_evaluator
from ministack.core.iam_actions import access_denied_response
from ministack.core.router import detect_service
from ministack.services import s3

Response = tuple[int, dict[str, str], bytes]

PIECE_BYTES = 1024 * 1024

AWS_KEY = "alias/aws/s3"

GLOBAL_SERVICES = frozenset({"iam", "sts", "cloudfront", "route53", "organizations"})
"""Signed for us-east-1 wherever they are called from."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a refusal is decided by. Header names are in lower case, `query` has the first value of each parameter."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    service: str

    @property
    def is_presigned(self) -> bool:
        return "X-Amz-Signature" in self.query

    @property
    def credential_scope(self) -> list[str]:
        """Access key id, date, region, service and "aws4_request" of a SigV4 signature; empty if there is none."""
        credential = self.query.get("X-Amz-Credential", "")
        authorization = self.headers.get("authorization", "")
        if authorization.startswith("AWS4-HMAC-SHA256"):
            credential = authorization.partition("Credential=")[2].partition(",")[0]
        scope = credential.strip().split("/")
        return scope if len(scope) == 5 else []


def s3_error(status: int, code: str, message: str, **members: str) -> Response:
    """An error document of S3."""
    more = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>'
    )
    return status, {"Content-Type": "application/xml"}, body.encode()


# A request that AWS refuses before anything else.


def upload_without_length(request: Request) -> Response | None:
    """S3 takes no body in chunks of HTTP, only of its own (`aws-chunked`), which name the decoded length."""
    chunked = "chunked" in request.headers.get("transfer-encoding", "").lower()
    named = "x-amz-decoded-content-length" in request.headers or "content-length" in request.headers
    if request.service == "s3" and request.method == "PUT" and chunked and not named:
        message = "A header you provided implies functionality that is not implemented"
        return s3_error(501, "NotImplemented", message, Header="Transfer-Encoding")
    return None


def unsigned_amz_headers(request: Request) -> Response | None:
    """A presigned URL allows no `x-amz-` header that was not signed with it."""
    if request.service != "s3" or not request.is_presigned:
        return None
    signed = request.query.get("X-Amz-SignedHeaders", "").lower().split(";")
    unsigned = sorted(name for name in request.headers if name.startswith("x-amz-") and name not in signed)
    if unsigned:
        message = "There were headers present in the request which were not signed"
        return s3_error(403, "AccessDenied", message, HeadersNotSigned=", ".join(unsigned))
    return None


def foreign_region(request: Request) -> Response | None:
    """Every endpoint but S3's, which redirects, refuses a signature for another region."""
    scope = request.credential_scope
    if not scope or request.service == "s3" or scope[3] == "s3" or scope[3] in GLOBAL_SERVICES:
        return None
    region = os.environ["MINISTACK_REGION"]
    if scope[2] == region:
        return None
    message = f"Credential should be scoped to a valid region, not '{scope[2]}'."
    if scope[3] == "execute-api":
        return 403, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps({"message": message}).encode()
    answer: Response = access_denied_response(
        scope[3],
        "",
        "",
        os.urandom(8).hex(),
        error_code="SignatureDoesNotMatch",
        message=message,
        headers=request.headers,
    )
    return answer


REFUSALS: tuple[Callable[[Request], Response | None], ...] = (
    upload_without_length,
    unsigned_amz_headers,
    foreign_region,
)


async def strict_app(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]) -> None:
    """The emulator's ASGI application behind the refusals."""
    if scope["type"] == "http":
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        values = parse_qs(scope.get("query_string", b"").decode("utf-8", "replace"), keep_blank_values=True)
        service = detect_service(scope["method"], scope["path"], headers, values)
        query = {name: given[0] for name, given in values.items()}
        request = Request(scope["method"], scope["path"], headers, query, service)
        for refusal in REFUSALS:
            if response := refusal(request):
                await _answer(response, headers, receive, send)
                return
    await forgiving_app(scope, receive, in_pieces(send))


def in_pieces(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Send long bodies a piece at a time, as fast as they are read: whole, one would lie in memory twice more."""

    async def send_pieces(message: dict[str, Any]) -> None:
        body = message.get("body", b"")
        for offset in range(0, max(len(body), 1), PIECE_BYTES):
            piece = dict(message)
            if len(body) > PIECE_BYTES:
                is_last = offset + PIECE_BYTES >= len(body)
                piece |= {"body": body[offset : offset + PIECE_BYTES]}
                piece |= {"more_body": not is_last or message.get("more_body", False)}
            await send(piece)

    return send_pieces


async def _answer(
    response: Response, headers: Mapping[str, str], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]
) -> None:
    status, answer_headers, body = response
    if headers.get("transfer-encoding") or headers.get("content-length", "0") != "0":
        while (await receive()).get("more_body"):
            pass
    fields = {**answer_headers, "Content-Length": str(len(body)), "x-amz-request-id": os.urandom(8).hex().upper()}
    lines = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


# What S3 answers otherwise.


_making_event: ContextVar[bool] = ContextVar("making_event", default=False)


def last_modified_rounded_up() -> str:
    """Now in whole seconds, the next one that begins: what S3 shows may be ahead of every other clock."""
    if _making_event.get():  # events tell the time in milliseconds
        return str(precise_time())
    return datetime.fromtimestamp(math.ceil(time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def event_with_precise_time(*arguments: Any, **options: Any) -> None:
    """Make and deliver an event. It has a thread and a context of its own."""
    _making_event.set(True)
    fire_event(*arguments, **options)


def strict_put_object(bucket_name: str, key: str, body: bytes, headers: dict[str, str]) -> Any:
    """A single upload, its ACL checked."""
    return _refused_acl(bucket_name, key, headers) or forgiving_put_object(bucket_name, key, body, headers)


def strict_create_multipart_upload(bucket_name: str, key: str, headers: dict[str, str]) -> Any:
    """The beginning of an upload in parts, its ACL checked."""
    return _refused_acl(bucket_name, key, headers) or forgiving_create_multipart_upload(bucket_name, key, headers)


def _refused_acl(bucket_name: str, key: str, headers: Mapping[str, str]) -> Response | None:
    """Sending an ACL takes a right, and where the owner owns every object it may only say so."""
    acl = headers.get("x-amz-acl")
    grants = [name for name in headers if name.startswith("x-amz-grant-")]
    bucket = s3._ensure_bucket(bucket_name)
    if bucket is None or not (acl or grants):
        return None
    if not _may("s3:PutObjectAcl", f"arn:aws:s3:::{bucket_name}/{key}", headers, {}):
        return s3_error(403, "AccessDenied", "Access Denied")
    if (acl != "bucket-owner-full-control" or grants) and s3._bucket_owner_enforced(bucket):
        return s3_error(400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
    return None


def strict_get_object(
    bucket_name: str, key: str, headers: dict[str, str], query_params: dict[str, Any] | None = None
) -> Any:
    """Reading an object that is encrypted with a customer's KMS key takes the right to decrypt with it.

    The key of AWS, alias/aws/s3, lets everybody in the account decrypt by way of S3.
    """
    bucket = s3._ensure_bucket(bucket_name)
    stored = s3._stored_sse_headers((bucket or {"objects": {}})["objects"].get(key, {}))
    key_arn = stored.get("x-amz-server-side-encryption-aws-kms-key-id", AWS_KEY)
    if key_arn != AWS_KEY and not _may("kms:Decrypt", key_arn, headers, query_params or {}):
        message = "User is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext"
        return s3_error(403, "AccessDenied", message)
    return _hidden_if_missing(
        forgiving_get_object(bucket_name, key, headers, query_params), bucket_name, headers, query_params or {}
    )


def strict_head_object(
    bucket_name: str, key: str, headers: dict[str, str] | None = None, query_params: dict[str, Any] | None = None
) -> Any:
    """As `strict_get_object`, but metadata is not encrypted."""
    answer = forgiving_head_object(bucket_name, key, headers, query_params)
    return _hidden_if_missing(answer, bucket_name, headers or {}, query_params or {})


def _hidden_if_missing(answer: Any, bucket_name: str, headers: Mapping[str, str], query: Mapping[str, Any]) -> Any:
    """Whoever may not list a bucket is not told that an object is missing: 403 in place of 404."""
    if answer[0] == 404 and not _may("s3:ListBucket", f"arn:aws:s3:::{bucket_name}", headers, query):
        return s3_error(403, "AccessDenied", "Access Denied")
    return answer


def _may(action: str, resource: str, headers: Mapping[str, str], query: Mapping[str, Any]) -> bool:
    """Whether the caller of this request has a right; root has every one."""
    access_key = s3.extract_access_key_id(headers, query)
    region = os.environ["MINISTACK_REGION"]
    return iam_evaluator.enforce(access_key, action, "s3", region, resource_arn=resource) is None


# When Lambda gets its events.


def late_delivery(arn: str, event_payload: dict[str, Any], bucket_region: str) -> None:
    """S3 events arrive late, and not in the order of what happened."""
    time.sleep(random.uniform(0, float(os.environ["S3_EVENT_DELAY_SECONDS"])))  # noqa: S311
    prompt_delivery(arn, event_payload, bucket_region)


def hook(module: Any, name: str, replacement: Callable[..., Any]) -> Any:
    """Put `replacement` in place of a function of the emulator that takes the same parameters. Returns the function."""
    original = getattr(module, name)
    wanted, given = inspect.signature(original).parameters, inspect.signature(replacement).parameters
    if list(wanted) != list(given) and list(given) != ["arguments", "options"]:
        raise TypeError(f"{module.__name__}.{name}{inspect.signature(original)} is not what the hook was made for.")
    setattr(module, name, replacement)
    return original


forgiving_app = hook(emulator, "app", strict_app)
forgiving_put_object = hook(s3, "_put_object", strict_put_object)
forgiving_create_multipart_upload = hook(s3, "_create_multipart_upload", strict_create_multipart_upload)
forgiving_get_object = hook(s3, "_get_object", strict_get_object)
forgiving_head_object = hook(s3, "_head_object", strict_head_object)
prompt_delivery = hook(s3, "_deliver_event_to_lambda", late_delivery)
precise_time = hook(s3, "now_iso", last_modified_rounded_up)
fire_event = hook(s3, "_fire_s3_event", event_with_precise_time)

if __name__ == "__main__":
    emulator.main()
