"""The difference between the template and what the emulator makes of it: changed before, reapplied and checked after.

Before the deployment, `adapted` changes what cannot hold on loopback. After it, `reapply` sets through the AWS APIs
what the emulator's CloudFormation drops, and `differences` reads every setting back and compares it with the template.
A setting that the emulator holds otherwise and a property that this file has never heard of are reported alike.

What AWS does with a setting over time (expiry, throttling, memory limits) the emulator does not do, set or not.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.deployment import Aws, Stack
from local.errors import TemplateMismatch

Properties = dict[str, Any]

TIMEOUT_SECONDS = 300

# ---------------------------------------------------------------- before


def adapted(
    template: Mapping[str, Any], locations: Mapping[str, str], environments: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """The template to deploy here. Four things differ from what AWS gets, and nothing else:

    - the sources of functions and layers are what was uploaded (`locations`, by logical id);
    - functions get further environment variables (`environments`, by logical id);
    - functions have at least `TIMEOUT_SECONDS`, because this machine may be far slower than Lambda, and busy;
    - bucket policies do not refuse plain http, which is all that there is on loopback.
    """
    result = copy.deepcopy(dict(template))
    resources = result["Resources"]
    for logical_id, resource in list(resources.items()):
        properties = resource.setdefault("Properties", {})
        match resource["Type"]:
            case "AWS::Serverless::Function":
                properties["CodeUri"] = locations[logical_id]
                variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
                variables.update(environments.get(logical_id, {}))
                properties["Timeout"] = max(TIMEOUT_SECONDS, properties.get("Timeout", 0))
            case "AWS::Serverless::LayerVersion":
                properties["ContentUri"] = locations[logical_id]
            case "AWS::S3::BucketPolicy":
                document = properties["PolicyDocument"]
                document["Statement"] = [item for item in document["Statement"] if not refuses_plain_http(item)]
                if not document["Statement"]:
                    del resources[logical_id]
    return result


def layers_of(function: Mapping[str, Any], template: Mapping[str, Any]) -> list[str]:
    """Logical ids of the template's layers that a function may get, in its order, conditions aside."""
    listed = [
        *template.get("Globals", {}).get("Function", {}).get("Layers", []),
        *function.get("Properties", {}).get("Layers", []),
    ]
    return [
        name
        for name in _references(listed)
        if template["Resources"].get(name, {}).get("Type") == "AWS::Serverless::LayerVersion"
    ]


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "Ref":
                yield item
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def refuses_plain_http(statement: Mapping[str, Any]) -> bool:
    """Whether a policy statement does nothing but deny requests without TLS."""
    return statement["Effect"] == "Deny" and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}


# ---------------------------------------------------------------- in the API's words

# Where CloudFormation and the service's own API spell a property differently.
API_NAMES = {
    "ServerSideEncryptionByDefault": "ApplyServerSideEncryptionByDefault",
    "CorsRules": "CORSRules",
    "ExposedHeaders": "ExposeHeaders",
    "MaxAge": "MaxAgeSeconds",
    "LambdaConfigurations": "LambdaFunctionConfigurations",
}


def in_api_words(value: Any) -> Any:
    """A property of the template as the service's own API spells it."""
    if isinstance(value, list):
        return [in_api_words(item) for item in value]
    if isinstance(value, dict):
        return {API_NAMES.get(key, key): in_api_words(item) for key, item in value.items()}
    return value


def lifecycle_rules(configuration: Properties) -> Properties:
    """A bucket's LifecycleConfiguration as PutBucketLifecycleConfiguration takes it. Raises for an unknown element."""
    known = {"Id", "Status", "Prefix", "ExpirationInDays", "AbortIncompleteMultipartUpload"}
    rules = []
    for rule in configuration["Rules"]:
        if set(rule) - known:
            raise TemplateMismatch(
                f"The embedded AWS does not know the lifecycle element {', '.join(sorted(set(rule) - known))}; "
                "teach it in local/adapter.py."
            )
        translated: Properties = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
        if "Id" in rule:
            translated["ID"] = rule["Id"]
        if "ExpirationInDays" in rule:
            translated["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
        if "AbortIncompleteMultipartUpload" in rule:
            days = rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
            translated["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": int(days)}
        rules.append(translated)
    return {"Rules": rules}


def notifications(configuration: Properties) -> Properties:
    """A bucket's NotificationConfiguration as GetBucketNotificationConfiguration gives it."""
    return {
        "LambdaFunctionConfigurations": [
            {"LambdaFunctionArn": item["Function"], "Events": [item["Event"]]}
            for item in configuration.get("LambdaConfigurations", [])
        ]
    }


def method_authorization(body: Properties) -> Properties:
    """What an API's OpenAPI body says about who may call what: {"POST /jobs": "AWS_IAM", ...}."""
    found = {}
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            schemes = {name for alternative in operation.get("security", []) for name in alternative} - {"NONE"}
            found[f"{method.upper()} {path}"] = ", ".join(sorted(schemes)) or "NONE"
    return found


def gateway_responses(body: Properties) -> Properties:
    """An API's own error responses, by type, as GetGatewayResponses gives them."""
    names = ("statusCode", "responseParameters", "responseTemplates")
    return {
        kind: {name: response[name] for name in names if name in response}
        for kind, response in body.get("x-amazon-apigateway-gateway-responses", {}).items()
    }


def method_settings(settings: list[Properties]) -> Properties:
    """A stage's MethodSettings as GetStage gives them."""

    def lower_first(name: str) -> str:
        return name[0].lower() + name[1:]

    return {
        f"{item['ResourcePath'].strip('/')}/{item['HttpMethod']}": {
            lower_first(name): value for name, value in item.items() if name not in {"ResourcePath", "HttpMethod"}
        }
        for item in settings
    }


TRANSLATIONS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("AWS::S3::Bucket", "LifecycleConfiguration"): lifecycle_rules,
    ("AWS::S3::Bucket", "NotificationConfiguration"): notifications,
    ("AWS::ApiGateway::RestApi", "Body"): lambda body: {
        "methods": method_authorization(body),
        "gateway_responses": gateway_responses(body),
    },
    ("AWS::ApiGateway::Stage", "MethodSettings"): method_settings,
    ("AWS::SQS::Queue", "RedrivePolicy"): lambda policy: policy if isinstance(policy, dict) else json.loads(policy),
    ("AWS::CloudWatch::Dashboard", "DashboardBody"): json.loads,
}

# ---------------------------------------------------------------- what the emulator drops


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

# ---------------------------------------------------------------- what the emulator holds


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

# ---------------------------------------------------------------- after


def reapply(aws: Aws, stack: Stack) -> None:
    """Set what the emulator's CloudFormation drops, so that `differences` finds nothing."""
    for resource_type, _, physical_id, properties in _deployed(stack):
        for name, value in properties.items():
            applier = APPLIERS.get((resource_type, name))
            if applier:
                applier(aws, physical_id, translated(resource_type, name, value))


def check(aws: Aws, stack: Stack) -> None:
    """Raise TemplateMismatch, naming each difference, unless the emulator holds what the template says."""
    found = list(differences(aws, stack))
    if found:
        lines = "\n".join(f"  {line}" for line in found)
        raise TemplateMismatch(f"The emulator differs from the template:\n{lines}")


def differences(aws: Aws, stack: Stack) -> Iterator[str]:
    """Read back every resource and compare it with the template. One sentence for each difference."""
    for resource_type, logical_id, physical_id, properties in _deployed(stack):
        not_compared = NOT_COMPARED.get(resource_type, {})
        compared = {} if "*" in not_compared else {k: v for k, v in properties.items() if k not in not_compared}
        if not physical_id:
            yield f"{logical_id} ({resource_type}) was not deployed"
        elif resource_type in READERS:
            actual = READERS[resource_type](aws, physical_id, properties)
            for name, value in compared.items():
                if name in actual:
                    yield from compare(translated(resource_type, name, value), actual[name], f"{logical_id}.{name}")
                else:
                    yield f"{logical_id}.{name} cannot be checked; teach it in local/adapter.py"
        elif compared:
            yield f"{logical_id} ({resource_type}) cannot be checked; teach it in local/adapter.py"


def translated(resource_type: str, name: str, value: Any) -> Any:
    """A property of the template, ready to be applied and compared: in the API's words."""
    return TRANSLATIONS.get((resource_type, name), in_api_words)(value)


def compare(wanted: Any, actual: Any, place: str) -> Iterator[str]:
    """Sentences on where `actual` lacks or contradicts `wanted`. What `actual` has beyond it are defaults."""
    if isinstance(wanted, dict) and isinstance(actual, dict):
        for key, value in wanted.items():
            yield from compare(value, actual.get(key), f"{place}.{key}")
    elif isinstance(wanted, list) and isinstance(actual, list) and len(wanted) == len(actual):
        for index, (one, other) in enumerate(zip(in_order(wanted), in_order(actual), strict=True)):
            yield from compare(one, other, f"{place}[{index}]")
    elif scalar(wanted) != scalar(actual):
        yield f"{place}: the template says {json.dumps(wanted)}, the emulator {json.dumps(actual, default=str)}"


def in_order(items: list[Any]) -> list[Any]:
    """Lists of settings are sets to AWS; objects are told apart by their identifying member."""
    names = ("ID", "Id", "Sid", "IndexName", "AttributeName", "PolicyName", "Name")

    def key(item: Any) -> str:
        if isinstance(item, dict):
            return next((str(item[name]) for name in names if name in item), "")
        return str(item)

    return sorted(items, key=key)


def scalar(value: Any) -> Any:
    """Templates write numbers and truth values as strings, APIs do not always."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else str(value)
    return value


def _deployed(stack: Stack) -> Iterator[tuple[str, str, str, Properties]]:
    """Type, logical id, physical id and resolved properties of each resource whose condition holds."""
    for logical_id, resource in stack.template["Resources"].items():
        if "Condition" in resource and not stack.deployment.holds(resource["Condition"]):
            continue
        properties = stack.deployment.resolve(resource.get("Properties", {}))
        yield resource["Type"], logical_id, stack.deployment.references.get(logical_id, ""), properties
