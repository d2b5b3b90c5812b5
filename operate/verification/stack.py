"""The deployed stack: its resources and parameters, AWS's clients, and the calls of the service's users."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode

import boto3
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from operate.verification.checks import Failed

REQUEST_SECONDS = 60.0


@dataclass
class DeployedStack:
    """One stack, seen by its operator. Raises `Failed` where it lacks a resource of the template."""

    name: str
    region: str
    api_url: str = ""
    """Where the API answers, if not at the stack's own address."""
    session: boto3.Session = field(default_factory=boto3.Session)
    http: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.http.trust_env = False
        self.api_url = (self.api_url or self.outputs["ApiUrl"]).rstrip("/")

    def client(self, service: str) -> Any:
        """A client of the stack's region."""
        elsewhere = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        config = Config(
            retries={"mode": "standard", "total_max_attempts": 5},
            signature_version="s3v4" if service == "s3" else None,
            s3={"addressing_style": "path" if elsewhere else "virtual"},
        )
        return self.session.client(service, region_name=self.region, config=config)  # type: ignore[call-overload]

    @cached_property
    def description(self) -> dict[str, Any]:
        """The stack as CloudFormation describes it."""
        found: dict[str, Any] = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]
        return found

    @cached_property
    def outputs(self) -> dict[str, str]:
        return {item["OutputKey"]: item["OutputValue"] for item in self.description.get("Outputs", [])}

    @cached_property
    def parameters(self) -> dict[str, str]:
        return {item["ParameterKey"]: item["ParameterValue"] for item in self.description.get("Parameters", [])}

    @cached_property
    def resources(self) -> dict[str, tuple[str, str]]:
        """Type and physical id of every resource, by logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.name)
        return {
            item["LogicalResourceId"]: (item["ResourceType"], item.get("PhysicalResourceId", ""))
            for page in pages
            for item in page["StackResourceSummaries"]
        }

    def physical_id(self, logical_id: str) -> str:
        """The name, id or address of a resource."""
        if logical_id not in self.resources:
            raise Failed(f"the stack has no {logical_id}")
        return self.resources[logical_id][1]

    def of_type(self, resource_type: str) -> dict[str, str]:
        """Physical ids by logical id."""
        return {name: found for name, (kind, found) in self.resources.items() if kind == resource_type}

    @property
    def uploads(self) -> str:
        return self.physical_id("UploadBucket")

    @property
    def results(self) -> str:
        return self.physical_id("ResultBucket")

    @property
    def window_seconds(self) -> int:
        return int(self.parameters.get("DownloadWindowSeconds", "300"))

    def api(
        self, method: str, path: str, body: Any = None, *, query: Mapping[str, str] | None = None
    ) -> requests.Response:
        """A call to the API, signed with the operator's credentials."""
        credentials = self.session.get_credentials()
        if credentials is None:
            raise Failed("there are no AWS credentials")
        url = self.api_url + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        data = json.dumps(body).encode() if body is not None else b""
        request = AWSRequest(method, url, data=data, headers={"Content-Type": "application/json"})
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", self.region).add_auth(request)
        return self.request(method, url, headers=dict(request.headers.items()), data=data)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """A plain request that follows no redirect."""
        try:
            return self.http.request(method, url, allow_redirects=False, timeout=REQUEST_SECONDS, **options)
        except requests.RequestException as error:
            raise Failed(f"{method} {url.partition('?')[0]}: no answer ({type(error).__name__})") from error
