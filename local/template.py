"""Reads template.yaml and works out what its expressions mean in one deployment. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from local.errors import DeploymentError

_LONG_NAMES = {"Ref": "Ref", "Condition": "Condition"}


class _TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, which become their long form: `!Sub x` -> `{"Fn::Sub": "x"}`."""


def _long_form(loader: _TemplateLoader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if tag == "GetAtt":
            value = str(value).split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    return {_LONG_NAMES.get(tag, f"Fn::{tag}"): value}


_TemplateLoader.add_multi_constructor("!", _long_form)


def load(path: Path) -> dict[str, Any]:
    """The template as plain data, short tags in their long form."""
    try:
        template = yaml.load(path.read_text(), Loader=_TemplateLoader)  # noqa: S506 - a SafeLoader
    except (OSError, yaml.YAMLError) as error:
        raise DeploymentError(f"The template cannot be read: {error}") from error
    if not isinstance(template, dict) or "Resources" not in template:
        raise DeploymentError(f"{path} is no CloudFormation template.")
    return template


class NoValue:
    """What `!Ref AWS::NoValue` means: the property is not there."""


NO_VALUE = NoValue()


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the expressions of a template stand for once it is deployed.

    `references` says what `!Ref` gives: parameters (as strings), pseudo parameters, and the physical ids of resources.
    `attributes` says what `!GetAtt` gives, by (logical id, attribute).
    """

    references: Mapping[str, str]
    attributes: Mapping[tuple[str, str], str]
    conditions: Mapping[str, Any]

    def holds(self, condition: str) -> bool:
        """Whether a named condition of the template is true."""
        if condition not in self.conditions:
            raise DeploymentError(f"The template has no condition {condition}.")
        return self._is_true(self.conditions[condition])

    def resolve(self, value: Any) -> Any:
        """`value` with every expression replaced by what it means. Raises DeploymentError for an unknown one."""
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._evaluate(name, argument)
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def _evaluate(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref" if argument == "AWS::NoValue":
                return NO_VALUE
            case "Ref":
                return self._reference(argument)
            case "Fn::GetAtt":
                logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
                return self._attribute(logical_id, attribute)
            case "Fn::Sub":
                text, variables = (argument, {}) if isinstance(argument, str) else argument
                return re.sub(r"\$\{([^!}][^}]*)\}", lambda found: self._variable(found[1], variables), text).replace(
                    "${!", "${"
                )
            case "Fn::If":
                condition, then, otherwise = argument
                return self.resolve(then if self.holds(condition) else otherwise)
            case "Fn::Join":
                separator, parts = argument
                return separator.join(map(str, self.resolve(parts)))
            case "Fn::Split":
                separator, text = argument
                return str(self.resolve(text)).split(separator)
            case "Fn::Select":
                index, items = argument
                return self.resolve(items)[int(index)]
        raise DeploymentError(f"The embedded AWS does not know {name}; teach it in local/template.py.")

    def _variable(self, name: str, variables: Mapping[str, Any]) -> str:
        if name in variables:
            return str(self.resolve(variables[name]))
        if "." in name:
            logical_id, attribute = name.split(".", 1)
            return self._attribute(logical_id, attribute)
        return self._reference(name)

    def _reference(self, name: str) -> str:
        if name not in self.references:
            raise DeploymentError(f"The embedded AWS does not know what !Ref {name} gives; it was not deployed.")
        return self.references[name]

    def _attribute(self, logical_id: str, attribute: str) -> str:
        if (logical_id, attribute) not in self.attributes:
            raise DeploymentError(
                f"The embedded AWS does not know what !GetAtt {logical_id}.{attribute} gives; "
                "teach it in local/deployment.py."
            )
        return self.attributes[logical_id, attribute]

    def _is_true(self, expression: Any) -> bool:
        [(name, argument)] = expression.items()
        match name:
            case "Condition":
                return self.holds(argument)
            case "Fn::Equals":
                left, right = self.resolve(argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self._is_true(argument[0])
            case "Fn::And":
                return all(map(self._is_true, argument))
            case "Fn::Or":
                return any(map(self._is_true, argument))
        raise DeploymentError(f"The embedded AWS does not know {name} in a condition; teach it in local/template.py.")
