"""The Kubernetes version of a cluster: pinned, or from the catalog; and a plan that says when its support ends."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import Plan
from tests.planning.scenes import CATALOG, make_agent, plan

CODE = "kubernetes-support-ends"


def on(newest_date: str, **spec: Any) -> Plan:
    return plan(make_agent(), catalog=dataclasses.replace(CATALOG, newest_date=newest_date), **spec)


def said(found: Plan) -> list[str]:
    return [warning.message for warning in found.warnings if warning.code == CODE]


def versions(found: Plan) -> set[str]:
    return {pool.kubernetes_version for pool in found.node_pools}


def test_the_newest_version_with_standard_support_unless_one_is_pinned() -> None:
    assert versions(plan(make_agent())) == {"1.36"}
    assert versions(plan(make_agent(), pins={"kubernetesVersion": "1.34"})) == {"1.34"}


def test_the_usual_version_follows_the_catalog() -> None:
    rows = tuple(row for row in CATALOG.kubernetes if row.version != "1.36")
    assert versions(plan(make_agent(), catalog=dataclasses.replace(CATALOG, kubernetes=rows))) == {"1.35"}


def test_a_catalog_without_a_supported_version_wants_a_pin() -> None:
    bare = dataclasses.replace(CATALOG, kubernetes=())
    with pytest.raises(BadInput, match="no Kubernetes version with standard support"):
        plan(make_agent(), catalog=bare)
    assert versions(plan(make_agent(), catalog=bare, pins={"kubernetesVersion": "1.35"})) == {"1.35"}


@pytest.mark.parametrize("newest_date", ["2026-09-01", "2026-11-30", "2026-12-02"])
def test_support_that_ends_within_three_months_is_said(newest_date: str) -> None:
    (message,) = said(on(newest_date, pins={"kubernetesVersion": "1.34"}))
    assert f"1.34 has standard support until 2026-12-02, and the catalog's newest date is {newest_date}" in message
    assert "1.35 until 2027-03-27, 1.36 until 2027-08-02" in message


def test_support_that_has_ended_is_said() -> None:
    (message,) = said(on("2027-04-01", pins={"kubernetesVersion": "1.34"}))
    assert "1.34 had standard support until 2026-12-02" in message
    assert "takes longer ones: 1.36 until 2027-08-02" in message
    (message,) = said(on("2027-09-01", pins={"kubernetesVersion": "1.36"}))
    assert message.endswith("costs more for each cluster hour")


def test_a_longer_support_is_no_news() -> None:
    assert said(on("2026-08-31", pins={"kubernetesVersion": "1.34"})) == []
    assert said(on("2026-11-30", pins={"kubernetesVersion": "1.35"})) == []


def test_a_cluster_of_ones_own_has_an_end_that_we_do_not_know() -> None:
    assert said(on("2026-11-30", target="kubernetes", pins={"kubernetesVersion": "1.34"})) == []
