"""docs/events.md: the schema is what goes out, the examples fit it, the templates pass on what they say."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]

from audiojobs import clients
from audiojobs.announcements import DETAIL_TYPES, SOURCE, Announcer
from audiojobs.errors import FileError
from audiojobs.job import Job, Notice, Status
from local import template as templates
from resample.formats.containers import detect
from tests.unit.cloud import Cloud
from tests.unit.samples import NOTICE, RESULT, api_job, direct_job
from tests.unit.samples import SOURCE as AUDIO

DOCS = Path(__file__).resolve().parents[3] / "docs"
TEXT = (DOCS / "events.md").read_text(encoding="utf-8")
SCHEMA = json.loads((DOCS / "events.schema.json").read_text(encoding="utf-8"))
EXAMPLES = {event["detail-type"]: event for event in map(json.loads, re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL))}
BUCKET = EXAMPLES["Job Ready"]["detail"]["upload_bucket"]
EXAMPLE_LINK = EXAMPLES["Job Ready"]["detail"]["link"]
EXAMPLE_REASON = EXAMPLES["Job Failed"]["detail"]["job"]["error"]
TEMPLATES = {path.name: templates.load(path) for path in sorted(DOCS.glob("events/*.yaml"))}
LINK = "https://audio.example.com/v1/d/" + "0" * 32 + ".secret"

Template = dict[str, Any]


def validate(event: dict[str, Any]) -> None:
    Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(event)


def resources(template: Template, kind: str) -> dict[str, dict[str, Any]]:
    """The properties of a template's resources of a kind, by their names."""
    found = template["Resources"].items()
    return {name: resource.get("Properties", {}) for name, resource in found if resource["Type"] == kind}


RULES = {
    (file, name): rule
    for file, template in TEMPLATES.items()
    for name, rule in resources(template, "AWS::Events::Rule").items()
}


# ---------------------------------------------------------------- the schema


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


ANNOUNCED: dict[str, tuple[Job, str | None]] = {
    "ready": (direct_job(Status.READY), LINK),
    "ready, of the API": (api_job(Status.READY), None),
    "ready, with a warning": (direct_job(Status.READY, warnings=(NOTICE,)), LINK),
    "ready, in part": (direct_job(Status.READY, warnings=(replace(NOTICE, declared_seconds=60.0),)), LINK),
    "ready, passed through": (direct_job(Status.READY, result=replace(RESULT, passthrough=True)), LINK),
    "ready, of a length not told": (direct_job(Status.READY, source=replace(AUDIO, duration_seconds=None)), LINK),
    "ready, of any name": (direct_job(Status.READY, upload_key='a "b"/ü €.wav', filename='ü "€".wav'), LINK),
    "failed": (direct_job(Status.FAILED), None),
    "failed, of the API": (api_job(Status.FAILED), None),
    "claimed": (api_job(Status.CLAIMED, claimed_at=1.0), None),
    "purged": (api_job(Status.PURGED, claimed_at=1.0, deleted_at=2.0), None),
    "deleted": (api_job(Status.PURGED, deleted_at=2.0, result=None, source=None), None),
    "expired": (api_job(Status.EXPIRED, deleted_at=2.0), None),
    "failed half way": (direct_job(Status.FAILED, source=AUDIO, progress=0.37, warnings=(Notice("a-b", "."),)), None),
}


@pytest.mark.parametrize(("job", "link"), ANNOUNCED.values(), ids=ANNOUNCED.keys())
def test_what_goes_out_fits_the_schema(cloud: Cloud, job: Job, link: str | None) -> None:
    cloud.announcer.announce(job, link=link)

    (event,) = cloud.announcements()
    validate(event)


@pytest.mark.parametrize("kind", DETAIL_TYPES.values())
def test_the_example_of_each_kind_fits_the_schema(kind: str) -> None:
    event = EXAMPLES[kind]

    validate(event)
    assert event["detail"]["job"]["updated_at"] <= event["time"]
    assert (event["detail"]["link"] or "").startswith("https://") == (kind == "Job Ready")


def test_the_example_of_a_failure_says_what_a_text_file_is_told() -> None:
    with pytest.raises(FileError) as error:
        detect(b"Bread, butter, strings.\n" * 100, is_whole_file=True)

    assert {"code": error.value.code, "detail": error.value.detail} == EXAMPLE_REASON


def test_there_is_one_example_of_each_kind_and_no_other() -> None:
    assert set(EXAMPLES) == set(DETAIL_TYPES.values()) == set(SCHEMA["properties"]["detail-type"]["enum"])
    assert TEXT.count("```json") == len(EXAMPLES)
    assert SCHEMA["properties"]["source"] == {"const": SOURCE}


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """A JSON object and all those in it."""
    if isinstance(value, dict):
        yield value
        for below in value.values():
            yield from objects(below)


def spoiled() -> Iterator[tuple[str, dict[str, Any]]]:
    """The examples, each with a field of the detail gone or one too many, or with those of the other kind."""
    for kind, event in EXAMPLES.items():
        for place in range(len(list(objects(event["detail"])))):
            for name in [*list(objects(event["detail"]))[place], None]:
                changed = copy.deepcopy(event)
                here = list(objects(changed["detail"]))[place]
                if name is None:
                    here["more"] = 1
                else:
                    del here[name]
                yield f"{kind}, {place}, {name or 'one too many'}", changed
        for other in sorted(EXAMPLES.keys() - {kind}):
            yield f"{kind}, as {other}", event | {"detail-type": other}
        yield f"{kind}, other source", event | {"source": "aws.s3"}
    failed = copy.deepcopy(EXAMPLES["Job Failed"])
    failed["detail"]["link"] = LINK
    yield "failed, with a link", failed


SPOILED = dict(spoiled())


@pytest.mark.parametrize("event", SPOILED.values(), ids=SPOILED.keys())
def test_the_schema_finds_every_difference(event: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validate(event)


# ---------------------------------------------------------------- the templates


def test_there_is_a_template_for_mail_queue_and_webhook() -> None:
    assert set(TEMPLATES) == {"mail.yaml", "queue.yaml", "webhook.yaml"}


def test_the_templates_pass_the_linter() -> None:
    command = [str(Path(sys.executable).with_name("cfn-lint")), *(str(DOCS / "events" / name) for name in TEMPLATES)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


EVERYTHING = {"ready direct", "ready api", "failed direct", "failed api", *(f"example {kind}" for kind in EXAMPLES)}
PASSES_ON = {
    ("mail.yaml", "ReadyRule"): {"ready direct", "example Job Ready"},
    ("mail.yaml", "FailedRule"): {"failed direct", "failed api", "example Job Failed"},
    ("queue.yaml", "Rule"): EVERYTHING,
    ("webhook.yaml", "Rule"): EVERYTHING,
}


def test_every_rule_is_tested() -> None:
    assert set(PASSES_ON) == set(RULES)


@pytest.mark.parametrize("where", RULES, ids=" ".join)
def test_a_rule_passes_on_what_it_says(cloud: Cloud, where: tuple[str, str]) -> None:
    bus, sqs = clients.events(), clients.sqs()
    queue = sqs.create_queue(QueueName="-".join(where).replace(".", "-"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.put_rule(Name="documented", EventPattern=json.dumps(resolved(RULES[where]["EventPattern"])))
    bus.put_targets(Rule="documented", Targets=[{"Id": "queue", "Arn": arn}])
    jobs = {
        "ready direct": (direct_job(Status.READY), LINK),
        "ready api": (api_job(Status.READY), None),
        "failed direct": (direct_job(Status.FAILED), None),
        "failed api": (api_job(Status.FAILED), None),
    }
    names = {(f"Job {str(job.status).title()}", job.id): name for name, (job, _) in jobs.items()}
    names |= {(kind, event["detail"]["job"]["id"]): f"example {kind}" for kind, event in EXAMPLES.items()}

    for job, link in jobs.values():
        Announcer(bus, BUCKET).announce(job, link=link)
        Announcer(bus, "of-another-stack").announce(job, link=link)
    for event in EXAMPLES.values():
        entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
        bus.put_events(Entries=[entry])  # type: ignore[list-item]
        bus.put_events(Entries=[entry | {"Source": "of-another-service"}])  # type: ignore[list-item]
    bus.remove_targets(Rule="documented", Ids=["queue"])
    bus.delete_rule(Name="documented")

    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    received = [json.loads(message["Body"]) for message in messages]
    named = sorted(names[event["detail-type"], event["detail"]["job"]["id"]] for event in received)
    assert named == sorted(PASSES_ON[where])


def resolved(value: Any) -> Any:
    """A part of a template with its one reference filled in: the upload bucket."""
    if value == {"Ref": "UploadBucket"}:
        return BUCKET
    if isinstance(value, dict):
        return {name: resolved(below) for name, below in value.items()}
    return [resolved(below) for below in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("rule", "kind", "mail"),
    [
        (
            "ReadyRule",
            "Job Ready",
            [
                "song.wav is ready.",
                f"Your link, good for one download until 2026-02-01T12:00:08Z: {EXAMPLE_LINK} ",
            ],
        ),
        (
            "FailedRule",
            "Job Failed",
            [
                f"notes.txt could not be resampled: {EXAMPLE_REASON['detail']}",
                "(unsupported-format, job 7c1be0a94d2f4e6f9a53c8d7e2b10f64)",
            ],
        ),
    ],
)
def test_the_mail_says(rule: str, kind: str, mail: list[str]) -> None:
    (target,) = RULES["mail.yaml", rule]["Targets"]
    transformer = target["InputTransformer"]
    text = transformer["InputTemplate"]
    assert set(re.findall(r"<(\w+)>", text)) == set(transformer["InputPathsMap"])

    for name, path in transformer["InputPathsMap"].items():
        value: Any = EXAMPLES[kind]
        for part in path.removeprefix("$.").split("."):
            value = value[part]
        text = text.replace(f"<{name}>", value)

    assert [json.loads(line) for line in text.splitlines()] == mail


@pytest.mark.parametrize("where", RULES, ids=" ".join)
def test_a_rule_may_reach_its_target_and_nobody_else_may(where: tuple[str, str]) -> None:
    template, rule = TEMPLATES[where[0]], where[1]
    (target,) = RULES[where]["Targets"]
    policies = [
        *resources(template, "AWS::SQS::QueuePolicy").values(),
        *resources(template, "AWS::SNS::TopicPolicy").values(),
    ]
    statements = [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]
    roles = resources(template, "AWS::IAM::Role")

    for arn in (target["Arn"], target.get("DeadLetterConfig", {}).get("Arn")):
        if arn == {"Fn::GetAtt": ["Destination", "Arn"]}:
            (role,) = roles
            assert target["RoleArn"] == {"Fn::GetAtt": [role, "Arn"]}
            ((statement,),) = (policy["PolicyDocument"]["Statement"] for policy in roles[role]["Policies"])
            assert statement["Action"] == "events:InvokeApiDestination"
            assert statement["Resource"] == {"Fn::GetAtt": ["Destination", "ArnForPolicy"]}
        elif arn is not None:
            (statement,) = (statement for statement in statements if statement["Resource"] == arn)
            assert statement["Principal"] == {"Service": "events.amazonaws.com"}
            assert {"Fn::GetAtt": [rule, "Arn"]} in listed(statement["Condition"]["ArnEquals"]["aws:SourceArn"])


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_command_that_deploys_a_template_has_what_it_asks_for(name: str) -> None:
    (command,) = (block for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) if f"docs/events/{name}" in block)
    template = TEMPLATES[name]

    given = re.findall(r"\b([A-Z]\w+)=", command.partition("--parameter-overrides")[2])

    asked = {parameter for parameter, about in template["Parameters"].items() if "Default" not in about}
    assert asked <= set(given) <= set(template["Parameters"])
    assert ("CAPABILITY_IAM" in command) == bool(resources(template, "AWS::IAM::Role"))
    assert f"UploadBucket={BUCKET}" in command
    assert f"[{name}](events/{name})" in TEXT
