"""Reads what the emulator holds of each resource, in the words of `api_words`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from local.adapter.api_words import Properties
from local.deployment import Aws


def _absent_if_missing(call: Callable[[], Any]) -> Any:
    """The answer, or None where the service says that there is no such configuration."""
    try:
        return call()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise


def _bucket(aws: Aws, bucket: str, _: Properties) -> Properties:
    s3 = aws.client("s3")

    def ask(operation: str) -> Properties:
        answer: Properties = _absent_if_missing(lambda: getattr(s3, operation)(Bucket=bucket)) or {}
        return answer

    encryption = ask("get_bucket_encryption").get("ServerSideEncryptionConfiguration", {})
    return {
        "BucketName": bucket,
        "BucketEncryption": {"ServerSideEncryptionConfiguration": encryption.get("Rules")},
        "CorsConfiguration": ask("get_bucket_cors"),
        "LifecycleConfiguration": ask("get_bucket_lifecycle_configuration"),
        "NotificationConfiguration": ask("get_bucket_notification_configuration"),
        "OwnershipControls": ask("get_bucket_ownership_controls").get("OwnershipControls"),
        "PublicAccessBlockConfiguration": ask("get_public_access_block").get("PublicAccessBlockConfiguration"),
        "VersioningConfiguration": ask("get_bucket_versioning"),
    }


def _bucket_policy(aws: Aws, _: str, properties: Properties) -> Properties:
    bucket = properties["Bucket"]
    policy = aws.client("s3").get_bucket_policy(Bucket=bucket)["Policy"]
    return {"Bucket": bucket, "PolicyDocument": json.loads(policy)}


def _table(aws: Aws, table: str, _: Properties) -> Properties:
    dynamodb = aws.client("dynamodb")
    described = dynamodb.describe_table(TableName=table)["Table"]
    expiry = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    return {
        **{name: described.get(name) for name in ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")},
        "TableName": table,
        "BillingMode": described.get("BillingModeSummary", {}).get("BillingMode"),
        "DeletionProtectionEnabled": described.get("DeletionProtectionEnabled", False),
        "TimeToLiveSpecification": {
            "AttributeName": expiry.get("AttributeName"),
            "Enabled": expiry["TimeToLiveStatus"] == "ENABLED",
        },
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": recovery == "ENABLED"},
    }


def _function(aws: Aws, function: str, _: Properties) -> Properties:
    service = aws.client("lambda")
    described: Properties = service.get_function_configuration(FunctionName=function)
    concurrency = service.get_function_concurrency(FunctionName=function)
    return {
        **described,
        "Layers": [layer["Arn"] for layer in described.get("Layers", [])],
        "ReservedConcurrentExecutions": concurrency.get("ReservedConcurrentExecutions"),
    }


def _invoke_config(aws: Aws, _: str, properties: Properties) -> Properties:
    function, qualifier = properties["FunctionName"], properties["Qualifier"]
    config: Properties = aws.client("lambda").get_function_event_invoke_config(
        FunctionName=function, Qualifier=qualifier
    )
    return {**config, "FunctionName": function, "Qualifier": qualifier}


def _event_source(aws: Aws, mapping: str, properties: Properties) -> Properties:
    described: Properties = aws.client("lambda").get_event_source_mapping(UUID=mapping)
    name = described["FunctionArn"].rpartition(":")[2]
    return {**described, "FunctionName": name if properties["FunctionName"] == name else described["FunctionArn"]}


def _permission(aws: Aws, _: str, properties: Properties) -> Properties:
    policy = aws.client("lambda").get_policy(FunctionName=properties["FunctionName"])["Policy"]
    for statement in json.loads(policy)["Statement"]:
        principal = statement["Principal"]
        found = {
            "Action": statement["Action"],
            "FunctionName": properties["FunctionName"],
            "Principal": principal.get("Service") if isinstance(principal, dict) else principal,
            "SourceAccount": statement.get("Condition", {}).get("StringEquals", {}).get("AWS:SourceAccount"),
            "SourceArn": statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn"),
        }
        if all(found.get(name) == wanted for name, wanted in properties.items()):
            return found
    return {}


def _queue(aws: Aws, queue: str, _: Properties) -> Properties:
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    redrive = json.loads(attributes["RedrivePolicy"]) if "RedrivePolicy" in attributes else None
    return {**attributes, "RedrivePolicy": redrive, "QueueName": queue.rpartition("/")[2]}


def _log_group(aws: Aws, group: str, _: Properties) -> Properties:
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    described = next(item for item in groups if item["logGroupName"] == group)
    return {"LogGroupName": group, "RetentionInDays": described.get("retentionInDays")}


def _role(aws: Aws, role: str, _: Properties) -> Properties:
    iam = aws.client("iam")
    described = iam.get_role(RoleName=role)["Role"]
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    documents = {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}
    return {
        "AssumeRolePolicyDocument": described["AssumeRolePolicyDocument"],
        "ManagedPolicyArns": [policy["PolicyArn"] for policy in attached],
        "Policies": [{"PolicyName": name, "PolicyDocument": document} for name, document in documents.items()],
    }


def _api(aws: Aws, api: str, _: Properties) -> Properties:
    gateway = aws.client("apigateway")
    described: Properties = gateway.get_rest_api(restApiId=api)
    resources = gateway.get_resources(restApiId=api, embed=["methods"], limit=500)["items"]
    return {
        "Name": described["name"],
        "Description": described.get("description"),
        "BinaryMediaTypes": described.get("binaryMediaTypes"),
        "Body": {
            "methods": {
                f"{method} {resource['path']}": details["authorizationType"]
                for resource in resources
                for method, details in resource.get("resourceMethods", {}).items()
            },
            "gateway_responses": {
                item["responseType"]: item for item in gateway.get_gateway_responses(restApiId=api, limit=500)["items"]
            },
        },
    }


def _stage(aws: Aws, stage: str, properties: Properties) -> Properties:
    described = aws.client("apigateway").get_stage(restApiId=properties["RestApiId"], stageName=stage)
    return {
        "RestApiId": properties["RestApiId"],
        "StageName": described["stageName"],
        "MethodSettings": described.get("methodSettings"),
        "TracingEnabled": described.get("tracingEnabled"),
        "Variables": described.get("variables"),
    }


def _alarm(aws: Aws, alarm: str, _: Properties) -> Properties:
    found: list[Properties] = aws.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"]
    return found[0] if found else {}


def _dashboard(aws: Aws, dashboard: str, _: Properties) -> Properties:
    body = aws.client("cloudwatch").get_dashboard(DashboardName=dashboard)["DashboardBody"]
    return {"DashboardName": dashboard, "DashboardBody": json.loads(body)}


def _topic(aws: Aws, topic: str, _: Properties) -> Properties:
    subscriptions = aws.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    return {"Subscription": [{name: item[name] for name in ("Protocol", "Endpoint")} for item in subscriptions]}


def _subscription(aws: Aws, _: str, properties: Properties) -> Properties:
    found = aws.client("sns").list_subscriptions_by_topic(TopicArn=properties["TopicArn"])["Subscriptions"]
    return next(({**item} for item in found if item["Endpoint"] == properties["Endpoint"]), {})


def _rule(aws: Aws, rule: str, _: Properties) -> Properties:
    events = aws.client("events")
    described: Properties = events.describe_rule(Name=rule)
    return {**described, "Targets": events.list_targets_by_rule(Rule=rule)["Targets"]}


def _schedule(aws: Aws, schedule: str, properties: Properties) -> Properties:
    described: Properties = aws.client("scheduler").get_schedule(
        Name=schedule, GroupName=properties.get("GroupName", "default")
    )
    return described


READERS: dict[str, Callable[[Aws, str, Properties], Properties]] = {
    "AWS::S3::Bucket": _bucket,
    "AWS::S3::BucketPolicy": _bucket_policy,
    "AWS::DynamoDB::Table": _table,
    "AWS::Lambda::Function": _function,
    "AWS::Lambda::EventInvokeConfig": _invoke_config,
    "AWS::Lambda::EventSourceMapping": _event_source,
    "AWS::Lambda::Permission": _permission,
    "AWS::SQS::Queue": _queue,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::IAM::Role": _role,
    "AWS::ApiGateway::RestApi": _api,
    "AWS::ApiGateway::Stage": _stage,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::CloudWatch::Dashboard": _dashboard,
    "AWS::SNS::Topic": _topic,
    "AWS::SNS::Subscription": _subscription,
    "AWS::Events::Rule": _rule,
    "AWS::Scheduler::Schedule": _schedule,
}

NOT_COMPARED: dict[str, dict[str, str]] = {
    "AWS::Lambda::Function": {
        "Code": "the artefact itself",
        "Tags": "no behaviour",
    },
    "AWS::Lambda::LayerVersion": {"*": "the artefact itself; runtimes are not enforced"},
    "AWS::ApiGateway::RestApi": {
        "Parameters": "how the body is imported",
        "EndpointConfiguration": "the emulator has one kind of endpoint",
    },
    "AWS::ApiGateway::Stage": {"DeploymentId": "made anew when gateway responses are reapplied"},
    "AWS::ApiGateway::Deployment": {"*": "made anew when gateway responses are reapplied"},
    "AWS::IAM::Role": {"Tags": "no behaviour"},
}
