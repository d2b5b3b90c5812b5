"""Deploys the template to the emulator: artefacts, stack, the API's address, and a user for clients."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from local.artefacts import Artefacts, packed
from local.errors import DeploymentError
from local.template import Deployment

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

STACK_NAME = "audio-resampler"
ARTEFACT_BUCKET = "audio-resampler-artefacts"
CLIENT_USER = "client"
STAGE = "v1"
CREATE_SECONDS = 600.0


class Aws:
    """boto3 clients of one caller, made once each, for loopback: path-style S3, few retries, no proxy."""

    def __init__(self, endpoint_url: str, region: str, access_key_id: str, secret_access_key: str) -> None:
        self.endpoint_url = endpoint_url
        self.region = region
        self.variables = {
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ACCESS_KEY_ID": access_key_id,
            "AWS_SECRET_ACCESS_KEY": secret_access_key,
        }
        """The environment variables that make another program this caller."""
        self._session = boto3.Session(access_key_id, secret_access_key, region_name=region)
        self.client = cache(self._client)

    def _client(self, service: str) -> Any:
        config = Config(
            signature_version="s3v4" if service == "s3" else None,
            s3={"addressing_style": "path"},
            retries={"max_attempts": 2, "mode": "standard"},
            read_timeout=120,
            proxies={},
        )
        return self._session.client(service, endpoint_url=self.endpoint_url, config=config)  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class Stack:
    """What was deployed: the template after SAM's transform, what its expressions mean, and its outputs."""

    name: str
    template: Mapping[str, Any]
    deployment: Deployment
    outputs: Mapping[str, str]

    def physical_id(self, logical_id: str) -> str:
        """The name, id or address of a deployed resource. Raises DeploymentError when there is none."""
        if logical_id not in self.deployment.references:
            raise DeploymentError(f"The template deployed no {logical_id}.")
        return self.deployment.references[logical_id]

    def resources(self) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
        """Type, logical id, physical id ("" if there is none) and resolved properties of each resource that applies."""
        for logical_id, resource in self.template["Resources"].items():
            if "Condition" in resource and not self.deployment.holds(resource["Condition"]):
                continue
            properties = self.deployment.resolve(resource.get("Properties", {}))
            yield resource["Type"], logical_id, self.deployment.references.get(logical_id, ""), properties


def upload(aws: Aws, artefacts: Artefacts) -> dict[str, str]:
    """Put the artefacts where CloudFormation takes them from. Returns their addresses by logical id.

    The layers' content is replaced by a note: for every process of a function the emulator would unpack all of it anew,
    where Lambda mounts it once. Functions find the content by PATH and PYTHONPATH instead.
    """
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=ARTEFACT_BUCKET)
    contents = {logical_id: packed(folder) for logical_id, folder in artefacts.functions.items()}
    contents |= dict.fromkeys(artefacts.layers, layer_note())
    for logical_id, content in contents.items():
        s3.put_object(Bucket=ARTEFACT_BUCKET, Key=f"{logical_id}.zip", Body=content)
    return {logical_id: f"s3://{ARTEFACT_BUCKET}/{logical_id}.zip" for logical_id in contents}


def layer_note() -> bytes:
    """The zip file that stands in for a layer's content."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("README", "The embedded AWS mounts this layer by PATH and PYTHONPATH.\n")
    return archive.getvalue()


def create_stack(aws: Aws, template: Mapping[str, Any], parameters: Mapping[str, str], name: str = STACK_NAME) -> Stack:
    """Deploy and wait. Raises DeploymentError with what CloudFormation gave as the reason."""
    formation: CloudFormationClient = aws.client("cloudformation")
    unknown = set(parameters) - set(template.get("Parameters", {}))
    if unknown:
        raise DeploymentError(f"The template has no parameter {', '.join(sorted(unknown))}.")
    try:
        formation.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template, default=str),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    except formation.exceptions.ClientError as error:
        raise DeploymentError(f"The template was refused: {error}") from error
    deadline = time.monotonic() + CREATE_SECONDS
    while (stack := formation.describe_stacks(StackName=name)["Stacks"][0])["StackStatus"] == "CREATE_IN_PROGRESS":
        if time.monotonic() > deadline:
            raise DeploymentError(f"The stack was not complete after {CREATE_SECONDS:.0f} s.")
        time.sleep(0.1)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise DeploymentError(f"The stack was not created:\n{_reasons(formation, name)}")
    return _read_stack(formation, stack, template)


def map_api(aws: Aws, api_id: str, api_url: str) -> None:
    """Give the API the address `api_url`, as a custom domain would.

    Its own address would be `API.execute-api.localhost`, which no resolver but a browser's knows.
    """
    gateway = aws.client("apigateway")
    domain = urlsplit(api_url).hostname
    gateway.create_domain_name(domainName=domain, endpointConfiguration={"types": ["REGIONAL"]})
    gateway.create_base_path_mapping(domainName=domain, basePath=STAGE, restApiId=api_id, stage=STAGE)


def create_client_user(aws: Aws, stack: Stack) -> tuple[str, str]:
    """A user for clients, as the service's users are: the emulator trusts its root keys without any signature.

    Beyond using the service it may look at its settings and at what it did, and send its events on.
    Returns access key id and secret access key.
    """
    iam = aws.client("iam")
    iam.create_user(UserName=CLIENT_USER)
    iam.put_user_policy(
        UserName=CLIENT_USER, PolicyName="use-and-look", PolicyDocument=json.dumps(client_policy(stack))
    )
    key = iam.create_access_key(UserName=CLIENT_USER)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def client_policy(stack: Stack) -> dict[str, Any]:
    """What the client user may do."""
    account, region = (stack.deployment.references[f"AWS::{name}"] for name in ("AccountId", "Region"))
    attributes, physical_id = stack.deployment.attributes, stack.physical_id

    def of_type(resource_type: str) -> list[str]:
        return [
            attributes[logical_id, "Arn"]
            for logical_id, resource in stack.template["Resources"].items()
            if resource["Type"] == resource_type and (logical_id, "Arn") in attributes
        ]

    uploads, results = attributes["UploadBucket", "Arn"], attributes["ResultBucket", "Arn"]
    table = attributes["JobsTable", "Arn"]
    api = f"arn:aws:execute-api:{region}:{account}:{physical_id('RestApi')}/{STAGE}/*"
    groups = [arn for arn in of_type("AWS::Logs::LogGroup") for arn in (arn, f"{arn}:*")]
    allowed: list[tuple[str, list[str], list[str]]] = [
        ("UseTheApi", ["execute-api:Invoke"], [api]),
        (
            "UploadDirectly",
            ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            [f"{uploads}/*"],
        ),
        ("SeeUploads", ["s3:ListBucket", "s3:ListBucketMultipartUploads"], [uploads]),
        ("SeeResults", ["s3:ListBucket", "s3:ListBucketMultipartUploads"], [results]),
        ("ReadResults", ["s3:GetObject"], [f"{results}/*"]),
        ("ReadJobs", ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan"], [table, f"{table}/index/*"]),
        ("InvokeFunctions", ["lambda:InvokeFunction"], of_type("AWS::Lambda::Function")),
        (
            "SeeBuckets",
            ["s3:GetBucket*", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration"],
            [uploads, results],
        ),
        ("SeeTheTable", ["dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive"], [table]),
        ("SeeFunctions", ["lambda:GetFunctionConfiguration"], of_type("AWS::Lambda::Function")),
        ("ReadLogs", ["logs:FilterLogEvents", "logs:GetLogEvents", "logs:DescribeLogStreams"], groups),
        # What `make redrive` takes, beside the right to invoke functions, and what docs/events.md shows.
        ("SendEventsOn", ["cloudformation:*", "events:*", "sns:*", "sqs:*"], ["*"]),
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
            for sid, actions, resources in allowed
        ],
    }


def arn_of(resource_type: str, physical_id: str, region: str, account: str) -> str | None:
    """The ARN of a deployed resource, for the types whose ARN templates ask for."""
    queue = physical_id.rpartition("/")[2]
    patterns = {
        "AWS::S3::Bucket": f"arn:aws:s3:::{physical_id}",
        "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{region}:{account}:table/{physical_id}",
        "AWS::Lambda::Function": f"arn:aws:lambda:{region}:{account}:function:{physical_id}",
        "AWS::IAM::Role": f"arn:aws:iam::{account}:role/{physical_id}",
        "AWS::Logs::LogGroup": f"arn:aws:logs:{region}:{account}:log-group:{physical_id}",
        "AWS::SQS::Queue": f"arn:aws:sqs:{region}:{account}:{queue}",
        "AWS::Events::Rule": f"arn:aws:events:{region}:{account}:rule/{physical_id}",
        "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{region}:{account}:alarm:{physical_id}",
    }
    return patterns.get(resource_type)


def _read_stack(formation: CloudFormationClient, stack: StackTypeDef, template: Mapping[str, Any]) -> Stack:
    name = stack["StackName"]
    _, _, _, region, account, _ = stack["StackId"].split(":", 5)
    parameters = {
        key: str(declared["Default"])
        for key, declared in template.get("Parameters", {}).items()
        if "Default" in declared
    }
    parameters |= {item["ParameterKey"]: item["ParameterValue"] for item in stack.get("Parameters", [])}
    references = {
        **parameters,
        "AWS::StackName": name,
        "AWS::StackId": stack["StackId"],
        "AWS::Region": region,
        "AWS::AccountId": account,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
    }
    attributes = {}
    for resource in formation.describe_stack_resources(StackName=name)["StackResources"]:
        logical_id, physical_id = resource["LogicalResourceId"], resource.get("PhysicalResourceId", "")
        references[logical_id] = physical_id
        arn = arn_of(resource["ResourceType"], physical_id, region, account)
        if arn:
            attributes[logical_id, "Arn"] = arn
        if resource["ResourceType"] == "AWS::SQS::Queue":
            attributes[logical_id, "QueueName"] = physical_id.rpartition("/")[2]
    processed: Any = formation.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    return Stack(
        name=name,
        template=json.loads(processed) if isinstance(processed, str) else processed,
        deployment=Deployment(references, attributes, template.get("Conditions", {})),
        outputs={item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])},
    )


def _reasons(formation: CloudFormationClient, name: str) -> str:
    events = formation.describe_stack_events(StackName=name)["StackEvents"]
    return "\n".join(
        f"  {event.get('LogicalResourceId')}: {event['ResourceStatusReason']}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("FAILED") and "ResourceStatusReason" in event
    )
