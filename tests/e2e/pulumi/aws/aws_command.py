"""Runs an ``aws`` command that the project tells its users to run: through the same client library, against moto.

botocore checks the operation and its parameters, and evaluates the query as the command would. Not checked: the command
line's own parsing of what is rarer than the forms read here.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import jmespath
from botocore.exceptions import ClientError

from tests.e2e.pulumi.aws.cloud import Cloud

_ADDON = "aws:eks/addon:Addon"
_CLIENTS = {"s3api": "s3"}
"""The library's names where the command has others."""


def answer(aws: Cloud, command: str, *, addons_in_journal: bool = True) -> list[str]:
    """The words that the command prints; none where it fails because there is no such thing.

    ``addons_in_journal``: whether the account is moto alone, which has no add-ons, so that the double keeps them.
    """
    program, service, operation, *words = shlex.split(command)
    service = _CLIENTS.get(service, service)
    assert program == "aws"
    options = _options(words)
    assert options.pop("output") == ["text"]
    (query,) = options.pop("query")
    method = operation.replace("-", "_")
    shape = aws(service).meta.service_model.operation_model(aws(service).meta.method_to_api_mapping[method]).input_shape
    parameters = {}
    for option, values in options.items():
        (member,) = (name for name in shape.members if _option(name) == option)
        kind = shape.members[member].type_name
        parameters[member] = [_structured(value) for value in values] if kind == "list" else values[0]
    if operation == "describe-addon" and addons_in_journal:
        entry = aws.journal.entries(_ADDON).get(f"{parameters['clusterName']}:{parameters['addonName']}")
        return [entry["addonName"]] if entry else []
    try:
        found = jmespath.search(query, getattr(aws(service), method)(**parameters))
    except ClientError:
        return []
    return [found] if isinstance(found, str) else list(found or ())


def _options(words: list[str]) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    current: list[str] = []
    for word in words:
        if word.startswith("--"):
            current = options.setdefault(word.removeprefix("--"), [])
        else:
            current.append(word)
    return options


def _option(member: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", member).lower()


def _structured(value: str) -> Any:
    if "=" not in value:
        return value
    first, _, values = value.partition(",Values=")
    key, _, name = first.partition("=")
    return {key: name, "Values": values.split(",")}
