"""The settings as deployed: what keeps files private, deletes them, and tells when something fails."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from operate.verification.checks import Check, NotJudged, expect
from operate.verification.stack import DeployedStack

BUCKETS = ("UploadBucket", "ResultBucket")


def checks(stack: DeployedStack) -> Iterator[Check]:
    """One check a setting; all of them only read."""
    settings = Settings(stack)
    for logical_id in BUCKETS:
        yield f"{logical_id}: old objects and half uploads expire", partial(settings.lifecycle, logical_id)
        yield f"{logical_id}: public access is blocked", partial(settings.public_access, logical_id)
        yield f"{logical_id}: encrypted, owner owns all, no versions", partial(settings.encryption, logical_id)
        yield f"{logical_id}: TLS only", partial(settings.tls_only, logical_id)
    yield "browsers may upload from the page (CORS)", settings.cors
    yield "uploads notify the resampling function", settings.notification
    yield "purge queue calls the purge function", settings.event_source
    yield "failed events go to their queue", settings.failed_events
    yield "schedules are enabled, and have a target", settings.schedules
    yield "records expire", settings.time_to_live
    yield "logs expire", settings.retention
    yield "alarms exist, and none is raised", settings.alarms
    yield "alarms are mailed", settings.mail
    yield "no failed events or purges wait", settings.queues


class Settings:
    """Reads each setting and says what is wrong with it."""

    def __init__(self, stack: DeployedStack) -> None:
        self._stack = stack

    def _bucket(self, operation: str, logical_id: str, missing: str) -> dict[str, Any]:
        """A bucket's setting; `missing` is the complaint when there is none."""
        s3 = self._stack.client("s3")
        answer = _unless_missing(lambda: getattr(s3, operation)(Bucket=self._stack.physical_id(logical_id)))
        expect(bool(answer), missing)
        return answer or {}

    def lifecycle(self, logical_id: str) -> str:
        rules = self._bucket("get_bucket_lifecycle_configuration", logical_id, "no lifecycle rule")["Rules"]
        enabled = [rule for rule in rules if rule["Status"] == "Enabled" and not _prefix(rule)]
        days = [rule["Expiration"]["Days"] for rule in enabled if "Days" in rule.get("Expiration", {})]
        half = [rule for rule in enabled if "AbortIncompleteMultipartUpload" in rule]
        expect(bool(days), "no enabled rule deletes objects")
        expect(bool(half), "no enabled rule deletes incomplete uploads")
        return f"after {min(days)} day{'s' if min(days) > 1 else ''}, at the midnight UTC that follows"

    def public_access(self, logical_id: str) -> str:
        found = self._bucket("get_public_access_block", logical_id, "public access is not blocked")
        block = found["PublicAccessBlockConfiguration"]
        names = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        off = [name for name in names if not block.get(name)]
        expect(not off, f"off: {', '.join(off)}")
        return ""

    def encryption(self, logical_id: str) -> str:
        found = self._bucket("get_bucket_encryption", logical_id, "no encryption is set")
        rules = found["ServerSideEncryptionConfiguration"]["Rules"]
        owner = self._bucket("get_bucket_ownership_controls", logical_id, "no ownership is set")
        ownership = owner["OwnershipControls"]["Rules"][0]["ObjectOwnership"]
        expect(ownership == "BucketOwnerEnforced", f"ownership is {ownership}")
        versioning = self._stack.client("s3").get_bucket_versioning(Bucket=self._stack.physical_id(logical_id))
        expect(versioning.get("Status") != "Enabled", "versioning keeps what is deleted")
        return str(rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"])

    def tls_only(self, logical_id: str) -> str:
        if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
            raise NotJudged("this endpoint speaks plain http")
        found = self._bucket("get_bucket_policy", logical_id, "the bucket has no policy")
        statements = json.loads(found["Policy"])["Statement"]
        denies = [
            item
            for item in statements
            if item["Effect"] == "Deny"
            and item.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
        ]
        expect(bool(denies), "no statement denies requests without TLS")
        return ""

    def cors(self) -> str:
        rules = self._bucket("get_bucket_cors", "UploadBucket", "no CORS rule")["CORSRules"]
        origins = {_origin(address) for address in (self._stack.api_url, self._stack.parameters.get("PublicUrl"))}
        origins.discard("")
        allowed = {origin for rule in rules if "PUT" in rule["AllowedMethods"] for origin in rule["AllowedOrigins"]}
        missing = set() if "*" in allowed else origins - allowed
        expect(bool(allowed), "no rule allows PUT")
        expect(not missing, f"the page's own origin is not allowed: {', '.join(sorted(missing))}")
        return ", ".join(sorted(allowed))

    def notification(self) -> str:
        s3 = self._stack.client("s3")
        found = s3.get_bucket_notification_configuration(Bucket=self._stack.uploads)
        function = self._stack.physical_id("ResampleFunction")
        told = [
            item
            for item in found.get("LambdaFunctionConfigurations", [])
            if item["LambdaFunctionArn"].rpartition(":")[2] == function
        ]
        expect(bool(told), "the bucket does not notify the function")
        expect(any("s3:ObjectCreated:*" in item["Events"] for item in told), "not every upload is told")
        return ""

    def event_source(self) -> str:
        queue = self._stack.physical_id("PurgeQueue").rpartition("/")[2]
        found = self._stack.client("lambda").list_event_source_mappings(
            FunctionName=self._stack.physical_id("PurgeFunction")
        )["EventSourceMappings"]
        mapping: dict[str, Any] = next(
            (item for item in found if item["EventSourceArn"].rpartition(":")[2] == queue), {}
        )
        expect(bool(mapping), "the queue is not connected to the function")
        expect(mapping.get("State", "Enabled") in {"Enabled", "Enabling"}, f"the connection is {mapping.get('State')}")
        expect("ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", []), "failures of one fail all")
        return ""

    def failed_events(self) -> str:
        function = self._stack.physical_id("ResampleFunction")
        pages = self._stack.client("lambda").list_function_event_invoke_configs(FunctionName=function)
        queue = self._stack.physical_id("FailedEventsQueue").rpartition("/")[2]
        for config in pages["FunctionEventInvokeConfigs"]:
            target = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
            if target.rpartition(":")[2] == queue:
                return f"after {config.get('MaximumRetryAttempts', 2)} retries"
        expect(False, "events that failed are lost")
        return ""

    def schedules(self) -> str:
        events = self._stack.client("events")
        rules = self._stack.of_type("AWS::Events::Rule")
        for logical_id, rule in rules.items():
            described = _unless_missing(partial(events.describe_rule, Name=rule))
            expect(described is not None, f"{logical_id} is gone")
            expect((described or {}).get("State") == "ENABLED", f"{logical_id} is disabled")
            expect(bool(events.list_targets_by_rule(Rule=rule)["Targets"]), f"{logical_id} has no target")
        if not rules:
            raise NotJudged("the stack has none")
        return f"{len(rules)}"

    def time_to_live(self) -> str:
        found = self._stack.client("dynamodb").describe_time_to_live(TableName=self._stack.physical_id("JobsTable"))
        status = found["TimeToLiveDescription"]["TimeToLiveStatus"]
        expect(status in {"ENABLED", "ENABLING"}, f"TTL is {status}")
        return ""

    def retention(self) -> str:
        logs = self._stack.client("logs")
        days = set()
        for group in self._stack.of_type("AWS::Logs::LogGroup").values():
            described = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
            found = next((item for item in described if item["logGroupName"] == group), None)
            expect(found is not None, f"there is no log group {group}")
            expect("retentionInDays" in (found or {}), f"{group} keeps logs for ever")
            days.add((found or {})["retentionInDays"])
        return f"after {', '.join(map(str, sorted(days)))} days"

    def alarms(self) -> str:
        alarms = self._stack.of_type("AWS::CloudWatch::Alarm")
        cloudwatch = self._stack.client("cloudwatch")
        names = list(alarms.values())
        found = [
            alarm
            for start in range(0, len(names), 100)
            for alarm in cloudwatch.describe_alarms(AlarmNames=names[start : start + 100])["MetricAlarms"]
        ]
        gone = set(names) - {alarm["AlarmName"] for alarm in found}
        expect(not gone, f"deleted: {', '.join(sorted(gone))}")
        raised = [alarm["AlarmName"] for alarm in found if alarm.get("StateValue") == "ALARM"]
        expect(not raised, f"raised: {', '.join(raised)}")
        silent = [alarm["AlarmName"] for alarm in found if not alarm.get("ActionsEnabled", True)]
        expect(not silent, f"actions are switched off: {', '.join(silent)}")
        return f"{len(found)}"

    def mail(self) -> str:
        if not self._stack.parameters.get("AlarmEmail"):
            raise NotJudged("AlarmEmail is not set")
        topic = self._stack.physical_id("AlarmTopic")
        found = self._stack.client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        expect(bool(found), "nobody is subscribed")
        waiting = [item["Endpoint"] for item in found if not item["SubscriptionArn"].startswith("arn:")]
        expect(not waiting, f"not confirmed yet: {', '.join(waiting)}; look for AWS's mail and click its link")
        return ", ".join(item["Endpoint"] for item in found)

    def queues(self) -> str:
        sqs = self._stack.client("sqs")
        for logical_id in ("FailedEventsQueue", "PurgeDeadLetterQueue"):
            attributes = sqs.get_queue_attributes(
                QueueUrl=self._stack.physical_id(logical_id), AttributeNames=["ApproximateNumberOfMessages"]
            )["Attributes"]
            waiting = int(attributes["ApproximateNumberOfMessages"])
            expect(waiting == 0, f"{logical_id}: {waiting}; see `make redrive`")
        return ""


def _unless_missing(call: Callable[[], Any]) -> Any:
    """The answer, or None where AWS says that there is no such thing."""
    try:
        return call()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code.startswith("NoSuch") or "NotFound" in code or "ResourceNotFound" in code:
            return None
        raise


def _prefix(rule: dict[str, Any]) -> str:
    return str(rule.get("Prefix") or rule.get("Filter", {}).get("Prefix") or "")


def _origin(address: str | None) -> str:
    url = urlsplit(address or "")
    return f"{url.scheme}://{url.netloc}" if url.netloc else ""
