"""Properties of the template as the services' own APIs spell them: CloudFormation often has other words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from local.errors import TemplateMismatch

Properties = dict[str, Any]

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
                "teach it in local/adapter/api_words.py."
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


def translated(resource_type: str, name: str, value: Any) -> Any:
    """A property of the template, ready to be applied and compared: in the API's words."""
    return TRANSLATIONS.get((resource_type, name), in_api_words)(value)
