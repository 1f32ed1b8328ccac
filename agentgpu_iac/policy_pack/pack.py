"""The rules as a policy pack, for the environment of the pack: it needs the extra ``policy``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from agentgpu_iac.catalog.store import Catalog, load_catalog
from agentgpu_iac.errors import MissingExtra
from agentgpu_iac.policy_pack import rules
from agentgpu_iac.policy_pack.rules import Seen

try:
    from pulumi_policy import (
        EnforcementLevel,
        PolicyConfigSchema,
        PolicyPack,
        ReportViolation,
        ResourceValidationArgs,
        ResourceValidationPolicy,
        StackValidationArgs,
        StackValidationPolicy,
    )
except ModuleNotFoundError as error:
    raise MissingExtra(__name__, "policy", error) from None

NAME: Final = "agentgpu"
_LEVEL: Final = EnforcementLevel.MANDATORY

_Settings = Mapping[str, Any]
_Rule = Callable[[Seen, _Settings], Iterator[str]]


def pack(catalog: Path | None = None) -> PolicyPack:
    """Register the policies; the program of a pack calls it once. ``catalog``: your own rows, for prices that we lack."""
    facts = load_catalog(catalog)
    return PolicyPack(
        name=NAME,
        enforcement_level=_LEVEL,
        policies=[
            _policy(
                "public-api",
                "An EKS API endpoint on the internet has an allow-list.",
                lambda seen, told: rules.public_api(seen, everybody=bool(told.get("everybody"))),
                everybody={"type": "boolean", "default": False},
            ),
            _policy(
                "unpriced",
                "Machines with accelerators have a known price.",
                lambda seen, _: rules.unpriced(seen, facts),
            ),
            _policy(
                "spot-baseline",
                "Accelerator nodes that always run are not bought on spot.",
                lambda seen, told: rules.spot_baseline(
                    seen, facts, interruptible=tuple(told.get("interruptible") or ())
                ),
                interruptible={"type": "array", "items": {"type": "string"}, "default": []},
            ),
            _policy(
                "unpinned-images",
                "Images of containers are the same tomorrow.",
                lambda seen, told: rules.unpinned_images(seen, digests=bool(told.get("digests"))),
                digests={"type": "boolean", "default": False},
            ),
            _policy(
                "secrets-in-clear",
                "No credential stands in clear in what a program asks for.",
                lambda seen, told: rules.secrets_in_clear(seen, marked=tuple(told.get("marked") or ())),
                marked={"type": "array", "items": {"type": "string"}, "default": []},
            ),
            StackValidationPolicy(
                name="budget",
                description="Accelerator machines that always run stay within a budget a month, where one is set.",
                config_schema=PolicyConfigSchema(properties={"usdPerMonth": {"type": "number"}}),
                validate=lambda args, report: _budget(args, report, facts),
            ),
        ],
    )


def _policy(name: str, description: str, rule: _Rule, **settings: Any) -> ResourceValidationPolicy:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for sentence in rule(_seen(args), args.get_config()):
            report(sentence)

    schema = PolicyConfigSchema(properties=settings) if settings else None
    return ResourceValidationPolicy(name=name, description=description, config_schema=schema, validate=validate)


def _budget(args: StackValidationArgs, report: ReportViolation, facts: Catalog) -> None:
    most = args.get_config().get("usdPerMonth")
    if most is None:
        return
    stack = [_seen(resource) for resource in args.resources]
    for sentence in rules.over_budget(stack, facts, budget_usd_per_month=Decimal(str(most))):
        report(sentence)


def _seen(resource: Any) -> Seen:
    provider = resource.provider
    region = str(provider.props.get("region") or "") if provider is not None else ""
    return Seen(type=resource.resource_type, name=resource.name, inputs=resource.props, region=region)
