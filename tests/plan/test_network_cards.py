"""Interfaces of nodes that share a replica, as EC2 and Karpenter take them."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.plan.network_cards import network_interfaces
from tests.plans import make_pool

FABRIC = [row for row in packaged_rows().instance_types if row.efa_interfaces and row.provider == "aws"]


def of(machine: str) -> list[tuple[int, int, str]]:
    row = next(row for row in FABRIC if row.name == machine)
    pool = make_pool(nodes_per_replica=2, efa_interfaces=row.efa_interfaces, first_efa_card=row.first_efa_card)
    return [tuple(each) for each in network_interfaces(pool)]


def test_where_the_first_card_takes_no_efa_the_others_do() -> None:
    assert of("p6-b300.48xlarge") == [(0, 0, "interface"), *((card, 0, "efa-only") for card in range(1, 17))]


@pytest.mark.parametrize(("machine", "cards"), [("p5.48xlarge", 32), ("p5en.48xlarge", 16), ("p6-b200.48xlarge", 8)])
def test_where_it_does_it_has_both(machine: str, cards: int) -> None:
    found = of(machine)
    assert found[:2] == [(0, 0, "interface"), (0, 1, "efa-only")]
    assert found[2:] == [(card, 0, "efa-only") for card in range(1, cards)]


@pytest.mark.parametrize("row", FABRIC, ids=lambda row: row.name)
def test_karpenters_rules_hold_for_every_machine(row: object) -> None:
    """A primary interface for IP, no place twice, one EFA device on a card (the CRD of EC2NodeClass, 1.14.1)."""
    found = of(row.name)  # type: ignore[attr-defined]
    assert found[0] == (0, 0, "interface")
    places = [(card, device) for card, device, _ in found]
    efa = [card for card, _, kind in found if kind == "efa-only"]
    assert len(set(places)) == len(places)
    assert len(set(efa)) == len(efa) == row.efa_interfaces  # type: ignore[attr-defined]


def test_nodes_that_share_nothing_have_no_say() -> None:
    assert network_interfaces(make_pool(efa_interfaces=32)) == ()
