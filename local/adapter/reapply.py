"""Sets through the AWS APIs what the emulator's CloudFormation drops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.adapter.api_words import translated
from local.deployment import Aws, Stack


def _put_lifecycle(aws: Aws, bucket: str, wanted: Any) -> None:
    aws.client("s3").put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=wanted)


def _put_time_to_live(aws: Aws, table: str, wanted: Any) -> None:
    aws.client("dynamodb").update_time_to_live(TableName=table, TimeToLiveSpecification=wanted)


def _put_recovery(aws: Aws, table: str, wanted: Any) -> None:
    aws.client("dynamodb").update_continuous_backups(TableName=table, PointInTimeRecoverySpecification=wanted)


def _put_concurrency(aws: Aws, function: str, wanted: Any) -> None:
    aws.client("lambda").put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=int(wanted))


def _put_gateway_responses(aws: Aws, api: str, wanted: Any) -> None:
    gateway = aws.client("apigateway")
    for kind, response in wanted["gateway_responses"].items():
        gateway.put_gateway_response(restApiId=api, responseType=kind, **response)
    if wanted["gateway_responses"]:
        for stage in gateway.get_stages(restApiId=api)["item"]:  # a deployed stage keeps the responses it was made with
            gateway.create_deployment(restApiId=api, stageName=stage["stageName"])


APPLIERS: dict[tuple[str, str], Callable[[Aws, str, Any], None]] = {
    ("AWS::S3::Bucket", "LifecycleConfiguration"): _put_lifecycle,
    ("AWS::DynamoDB::Table", "TimeToLiveSpecification"): _put_time_to_live,
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification"): _put_recovery,
    ("AWS::Lambda::Function", "ReservedConcurrentExecutions"): _put_concurrency,
    ("AWS::ApiGateway::RestApi", "Body"): _put_gateway_responses,
}


def reapply(aws: Aws, stack: Stack) -> None:
    """Set what the emulator's CloudFormation drops, so that `differences` finds nothing."""
    for resource_type, _, physical_id, properties in stack.resources():
        for name, value in properties.items():
            applier = APPLIERS.get((resource_type, name))
            if applier:
                applier(aws, physical_id, translated(resource_type, name, value))
