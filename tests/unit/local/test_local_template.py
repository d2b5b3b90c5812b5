"""The template reader: CloudFormation's tags, and what expressions mean in a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local import template as templates
from local.errors import DeploymentError
from local.template import Deployment

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def deployment() -> Deployment:
    return Deployment(
        references={"AWS::Region": "eu-west-1", "Keep": "true", "Bucket": "uploads-1", "Email": ""},
        attributes={("Bucket", "Arn"): "arn:aws:s3:::uploads-1"},
        conditions={
            "Keeps": {"Fn::Equals": [{"Ref": "Keep"}, "true"]},
            "Mails": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Email"}, ""]}]},
            "Both": {"Fn::And": [{"Condition": "Keeps"}, {"Condition": "Mails"}]},
            "Either": {"Fn::Or": [{"Condition": "Keeps"}, {"Condition": "Mails"}]},
        },
    )


def test_short_tags_become_their_long_form(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(
        "Resources:\n"
        "  Thing:\n"
        "    Type: AWS::S3::Bucket\n"
        "    Condition: Wanted\n"
        "    Properties:\n"
        '      A: !Sub "${AWS::StackName}-x"\n'
        "      B: !GetAtt Other.Arn\n"
        "      C: !If [Wanted, !Ref Other, !Ref AWS::NoValue]\n"
        "      D: !Not [!Condition Wanted]\n"
    )

    thing = templates.load(path)["Resources"]["Thing"]

    assert thing["Condition"] == "Wanted"
    assert thing["Properties"] == {
        "A": {"Fn::Sub": "${AWS::StackName}-x"},
        "B": {"Fn::GetAtt": ["Other", "Arn"]},
        "C": {"Fn::If": ["Wanted", {"Ref": "Other"}, {"Ref": "AWS::NoValue"}]},
        "D": {"Fn::Not": [{"Condition": "Wanted"}]},
    }


@pytest.mark.parametrize("text", ["- a list", "Resources: [", "Outputs: {}"])
def test_what_is_no_template_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(text)

    with pytest.raises(DeploymentError, match="template"):
        templates.load(path)


@pytest.mark.parametrize(
    ("expression", "meaning"),
    [
        ({"Ref": "Bucket"}, "uploads-1"),
        ({"Fn::GetAtt": ["Bucket", "Arn"]}, "arn:aws:s3:::uploads-1"),
        ({"Fn::GetAtt": "Bucket.Arn"}, "arn:aws:s3:::uploads-1"),
        ({"Fn::Sub": "${Bucket.Arn}/* in ${AWS::Region}"}, "arn:aws:s3:::uploads-1/* in eu-west-1"),
        ({"Fn::Sub": ["${x}-${!literal}", {"x": {"Ref": "Bucket"}}]}, "uploads-1-${literal}"),
        ({"Fn::Join": ["/", ["a", {"Ref": "Bucket"}]]}, "a/uploads-1"),
        ({"Fn::If": ["Keeps", "yes", "no"]}, "yes"),
        ({"Fn::If": ["Mails", "yes", "no"]}, "no"),
        ({"Fn::If": ["Both", "yes", "no"]}, "no"),
        ({"Fn::If": ["Either", "yes", "no"]}, "yes"),
        ({"a": {"Ref": "AWS::NoValue"}, "b": 1}, {"b": 1}),
        ([{"Ref": "AWS::NoValue"}, 1], [1]),
        ({"Ref": "Bucket", "Other": 1}, {"Ref": "Bucket", "Other": 1}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_expressions_are_resolved(deployment: Deployment, expression: Any, meaning: Any) -> None:
    assert deployment.resolve(expression) == meaning


@pytest.mark.parametrize(
    "expression",
    [
        {"Ref": "Nowhere"},
        {"Fn::GetAtt": ["Bucket", "DomainName"]},
        {"Fn::ImportValue": "x"},
        {"Fn::If": ["NoSuchCondition", 1, 2]},
    ],
    ids=str,
)
def test_an_expression_that_is_not_understood_is_never_guessed(deployment: Deployment, expression: Any) -> None:
    with pytest.raises(DeploymentError):
        deployment.resolve(expression)


def test_the_template_of_the_service_can_be_read() -> None:
    template = templates.load(PROJECT / "template.yaml")

    assert template["Resources"]["UploadBucket"]["Type"] == "AWS::S3::Bucket"
