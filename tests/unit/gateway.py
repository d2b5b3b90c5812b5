"""Calls of the API as API Gateway makes them (REST API, Lambda proxy), and Lambda's side of an invocation."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

DOMAIN = "abcdef1234.execute-api.eu-central-1.amazonaws.com"
CALLER = "AIDACKCEVSQ6C2EXAMPLE"
PUBLIC_URL = f"https://{DOMAIN}/v1"

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@dataclass(frozen=True, slots=True)
class FakeLambdaContext:
    """The part of Lambda's context that the handlers look at."""

    aws_request_id: str = "6f1f0c5e-8a54-4d5c-9d6f-0a5b7f0f7d11"
    function_name: str = "function"
    function_version: str = "$LATEST"
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:000000000000:function:function"
    memory_limit_in_mb: int = 512
    log_group_name: str = "/audio-resampler/test"
    log_stream_name: str = "stream"
    remaining_milliseconds: int = 15_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_milliseconds


class TimePasses(FakeLambdaContext):
    """Each look at the time that is left finds the next one; the last one stays."""

    def __init__(self, *remaining_milliseconds: int) -> None:
        super().__init__()
        object.__setattr__(self, "_looks", list(remaining_milliseconds))

    def get_remaining_time_in_millis(self) -> int:
        looks: list[int] = self._looks  # type: ignore[attr-defined]
        return looks.pop(0) if len(looks) > 1 else looks[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered."""

    status: int
    headers: Mapping[str, str]
    body: str

    def json(self) -> dict[str, Any]:
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document


class Api:
    """Calls the handler; the paths are those behind the stage."""

    def __init__(self, handler: Callable[[dict[str, Any], Any], Any]) -> None:
        self._handler = handler

    def get(self, path: str, headers: Mapping[str, str] | None = None, **query: str) -> Answer:
        return self.call("GET", path, headers=headers, query=query)

    def head(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.call("HEAD", path, headers=headers)

    def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return self.call("POST", path, body=body, headers=headers)

    def delete(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.call("DELETE", path, headers=headers)

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        is_base64: bool = False,
        domain: str = DOMAIN,
        stage_in_path: str = "/v1",
        caller: str | None = CALLER,
    ) -> Answer:
        """``body`` is sent as it is if it is text, as JSON otherwise."""
        event = rest_event(
            method,
            path,
            body=body,
            headers=headers,
            query=query,
            is_base64=is_base64,
            domain=domain,
            stage_in_path=stage_in_path,
            caller=caller,
        )
        answer = self._handler(event, FakeLambdaContext())
        assert not answer["isBase64Encoded"]
        headers_given = {name: ", ".join(values) for name, values in answer["multiValueHeaders"].items()}
        return Answer(answer["statusCode"], headers_given, answer["body"])


def wsgi(handler: Callable[[dict[str, Any], Any], Any]) -> Callable[[dict[str, Any], Any], list[bytes]]:
    """The API as a WSGI application, for clients that speak HTTP. Paths have the stage in front."""

    def application(
        environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
    ) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").title(): value
            for name, value in environ.items()
            if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
        }
        event = rest_event(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"].encode("latin-1").decode(errors="replace").removeprefix("/v1"),
            body=base64.b64encode(body).decode() if body else None,
            is_base64=bool(body),
            headers=headers,
            query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
        )
        answer = handler(event, FakeLambdaContext())
        pairs = [(name, value) for name, values in answer["multiValueHeaders"].items() for value in values]
        start_response(f"{answer['statusCode']} {HTTPStatus(answer['statusCode']).phrase}", pairs)
        return [answer["body"].encode()]

    return application


def rest_event(
    method: str,
    path: str,
    *,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    is_base64: bool = False,
    domain: str = DOMAIN,
    stage_in_path: str = "/v1",
    caller: str | None = CALLER,
) -> dict[str, Any]:
    """The event of a call; like the gateway's, it has ``None`` where there is nothing."""
    given = {"Accept": "*/*", "Host": domain, "X-Forwarded-Proto": "https", **(headers or {})}
    parts = path.strip("/").split("/")
    name = {"jobs": "id", "d": "token"}.get(parts[0], "proxy")
    resource = "/" + "/".join([parts[0], *(f"{{{name}}}" for _ in parts[1:2]), *parts[2:]])
    return {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": given,
        "multiValueHeaders": {header: [value] for header, value in given.items()},
        "queryStringParameters": dict(query) if query else None,
        "multiValueQueryStringParameters": {key: [value] for key, value in query.items()} if query else None,
        "pathParameters": {name: parts[1]} if len(parts) > 1 else None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": resource,
            "httpMethod": method,
            "path": stage_in_path + path,
            "accountId": "000000000000",
            "protocol": "HTTP/1.1",
            "stage": "v1",
            "domainName": domain,
            "requestId": "5f8b1c2e-6d1f-4a57-9c43-2a1f0e9d7b11",
            "apiId": "abcdef1234",
            "identity": {"sourceIp": "192.0.2.17", "userAgent": "curl/8.14.1", "caller": caller},
        },
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": is_base64,
    }
