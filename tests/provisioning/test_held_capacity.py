"""Reservations and Capacity Blocks: nodes are launched into what is held, and only there where it lies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import LineItem, NodePool, Plan
from agentgpu_iac.provisioning.aws.capacity import node_group_shapes
from agentgpu_iac.provisioning.aws.held_capacity import HeldCapacity, held_capacity_faults
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.reserved_capacity import nodes_to_reserve
from tests.plans import make_plan, make_pool
from tests.provisioning.recording import Recorded, record
from tests.provisioning.scenes import FILES, GROUPED_POOL, OPTIONS, SETTINGS, held_plan, scene, with_pools

NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
RESERVATION = "aws:ec2/capacityReservation:CapacityReservation"
POOL = "demo-baseline-g6e-xlarge"
GROUP_ARN = "arn:aws:resource-groups:us-east-1:123456789012:group/agents"


def group(name: str, suffix: str) -> Recorded:
    return scene(name).one(NODE_GROUP, suffix)


class TestCapacityBlock:
    def test_its_group_is_launched_into_the_block(self) -> None:
        preferred = group("block", f"{GROUPED_POOL}-preferred").inputs
        assert preferred["capacityType"] == "CAPACITY_BLOCK"
        assert preferred["launchTemplate"]["id"] == f"{GROUPED_POOL}-held-id"
        template = scene("block").one(TEMPLATE, f"{GROUPED_POOL}-held").inputs
        assert template["instanceMarketOptions"] == {"marketType": "capacity-block"}
        target = template["capacityReservationSpecification"]["capacityReservationTarget"]
        assert target == {"capacityReservationId": "cr-b10c"}

    def test_the_instance_type_is_said_by_the_template_and_not_by_the_group(self) -> None:
        assert "instanceTypes" not in group("block", f"{GROUPED_POOL}-preferred").inputs
        assert scene("block").one(TEMPLATE, f"{GROUPED_POOL}-held").inputs["instanceType"] == "p5.48xlarge"

    def test_it_stands_in_the_blocks_zone_and_may_empty_when_the_block_ends(self) -> None:
        preferred = group("block", f"{GROUPED_POOL}-preferred").inputs
        assert preferred["subnetIds"] == ["demo-private-us-east-1a-id"]
        assert preferred["scalingConfig"] == {"minSize": 0, "desiredSize": 2, "maxSize": 2}

    def test_an_update_takes_the_old_nodes_away_first(self) -> None:
        preferred = group("block", f"{GROUPED_POOL}-preferred").inputs
        assert preferred["updateConfig"] == {"maxUnavailable": 2, "updateStrategy": "MINIMAL"}

    def test_the_nodes_behind_it_are_ordinary_ones(self) -> None:
        fallback = group("block", f"{GROUPED_POOL}-fallback").inputs
        template = scene("block").one(TEMPLATE, GROUPED_POOL).inputs
        assert (fallback["capacityType"], fallback["instanceTypes"]) == ("ON_DEMAND", ["p5.48xlarge"])
        assert fallback["scalingConfig"] == {"minSize": 0, "desiredSize": 0, "maxSize": 2}
        assert not {"instanceMarketOptions", "capacityReservationSpecification", "instanceType"} & set(template)

    def test_only_ordinary_nodes_ask_for_the_placement_group(self) -> None:
        assert "placement" not in scene("block").one(TEMPLATE, f"{GROUPED_POOL}-held").inputs
        assert scene("block").one(TEMPLATE, GROUPED_POOL).inputs["placement"] == {"groupName": GROUPED_POOL}

    def test_a_fallback_is_no_use_without_an_autoscaler_and_the_outputs_say_so(self) -> None:
        found = scene("block").outputs["prerequisites"]
        assert any("priority expander" in one and GROUPED_POOL in one for one in found)

    @pytest.mark.parametrize(
        ("pool", "message"),
        [
            ({"instance_types": ("p5e.48xlarge",)}, "cr-b10c holds p5.48xlarge, but the pool needs p5e.48xlarge"),
            ({"min": 4, "max": 4}, "cr-b10c holds 2 nodes, but the pool needs 4"),
        ],
    )
    def test_a_block_that_does_not_hold_the_pool_is_bad_input(self, pool: dict[str, Any], message: str) -> None:
        plan = with_pools(held_plan("capacity-block"), **pool)

        def program() -> None:
            with pytest.raises(BadInput, match=message):
                deploy(plan, FILES, OPTIONS["block"][1])

        assert record(program).resources == []


class TestNamedReservation:
    def test_its_group_is_launched_into_the_reservation_in_its_zone(self) -> None:
        preferred = group("held", f"{POOL}-preferred").inputs
        template = scene("held").one(TEMPLATE, f"{POOL}-held").inputs
        assert preferred["capacityType"] == "ON_DEMAND"
        assert preferred["subnetIds"] == ["demo-private-us-east-1b-id"]
        assert preferred["updateConfig"]["updateStrategy"] == "MINIMAL"
        target = template["capacityReservationSpecification"]["capacityReservationTarget"]
        assert target == {"capacityReservationId": "cr-0123"}
        assert not {"instanceMarketOptions", "instanceType"} & set(template)

    def test_the_nodes_behind_it_may_stand_elsewhere(self) -> None:
        fallback = group("held", f"{POOL}-fallback").inputs
        assert fallback["subnetIds"] == ["demo-private-us-east-1a-id", "demo-private-us-east-1b-id"]
        assert fallback["launchTemplate"]["id"] == f"{POOL}-id"

    def test_of_a_resource_group_ec2_itself_launches_on_demand_what_finds_no_room(self) -> None:
        held = HeldCapacity(reservation=GROUP_ARN, is_block=False, zone=None)
        pool = make_pool(capacity_types=("reserved", "on-demand"), reservation="on-demand")
        (shape,) = node_group_shapes(pool, held)
        assert (shape.suffix, shape.eks_capacity_type, shape.held) == ("", "ON_DEMAND", held)
        settings = replace(SETTINGS, capacity_reservation_ids={POOL: GROUP_ARN})
        recording = record(lambda: deploy(make_plan(node_pools=(pool,)), FILES, settings))
        target = recording.one(TEMPLATE, f"{POOL}-held").inputs["capacityReservationSpecification"]
        assert target == {"capacityReservationTarget": {"capacityReservationResourceGroupArn": GROUP_ARN}}
        assert recording.one(NODE_GROUP, POOL).inputs["updateConfig"]["updateStrategy"] == "MINIMAL"

    def test_spot_nodes_behind_a_resource_group_keep_their_own_group(self) -> None:
        held = HeldCapacity(reservation=GROUP_ARN, is_block=False, zone=None)
        shapes = node_group_shapes(make_pool(capacity_types=("reserved", "spot", "on-demand")), held)
        assert [(one.eks_capacity_type, one.held) for one in shapes] == [("ON_DEMAND", held), ("SPOT", None)]

    def test_without_a_name_reservations_are_used_where_they_match(self) -> None:
        pool = make_pool(capacity_types=("reserved", "on-demand"), reservation="on-demand")
        recording = record(lambda: deploy(make_plan(node_pools=(pool,)), FILES, SETTINGS))
        assert "capacityReservationSpecification" not in recording.one(TEMPLATE, POOL).inputs

    def test_a_zone_that_does_not_sell_the_type_is_bad_input(self) -> None:
        plan, settings = OPTIONS["held"][0](), OPTIONS["held"][1]
        elsewhere = replace(settings, capacity_reservation_zones={POOL: "us-east-1d"})
        with pytest.raises(BadInput, match="holds capacity in us-east-1d, but its nodes may only stand in us-east-1a"):
            record(lambda: deploy(plan, FILES, elsewhere))


@pytest.mark.parametrize(
    ("kind", "ids", "zones", "message"),
    [
        ("capacity-block", {}, {}, "takes this pool's nodes from a Capacity Block, and none is named"),
        ("capacity-block", {POOL: GROUP_ARN}, {}, "a Capacity Block is named by its own id"),
        ("capacity-block", {POOL: "cr-1"}, {POOL: "us-east-1a"}, "only a single on-demand reservation has its zone"),
        ("on-demand", {POOL: "cr-1"}, {}, "in which zone cr-1 lies is not said"),
        ("on-demand", {POOL: GROUP_ARN}, {POOL: "us-east-1a"}, "only a single on-demand reservation has its zone"),
        ("on-demand", {POOL: "my-reservation"}, {}, "'my-reservation' is neither the id of a reservation nor"),
        ("on-demand", {}, {POOL: "us-east-1a"}, "no reservation is named for this pool"),
        ("none", {POOL: "cr-1"}, {}, "the plan holds no capacity for this pool"),
        ("none", {"demo-baseline-g6e-xlrge": "cr-1"}, {}, f"no such node pool (did you mean {POOL!r}?)"),
    ],
)
def test_a_reservation_that_cannot_be_meant_is_bad_input(
    kind: Any, ids: dict[str, str], zones: dict[str, str], message: str
) -> None:
    pool = make_pool(capacity_types=("reserved", "on-demand"), reservation=kind)
    (fault,) = held_capacity_faults((pool,), ids, zones, "configuration")
    assert message in str(fault)


def test_one_block_is_one_instance_type() -> None:
    pool = make_pool(reservation="capacity-block", instance_types=("p5.48xlarge", "p5e.48xlarge"))
    (fault,) = held_capacity_faults((pool,), {POOL: "cr-1"}, {}, "configuration")
    assert "cannot be p5.48xlarge and p5e.48xlarge" in str(fault)


class TestReserve:
    def test_nothing_is_reserved_unless_asked_for(self) -> None:
        recording = record(lambda: deploy(held_plan("on-demand"), FILES, SETTINGS))
        assert recording.of(RESERVATION) == []

    def test_the_nodes_that_always_run_are_reserved_where_they_stand(self) -> None:
        (reservation,) = scene("reserved").of(RESERVATION)
        assert reservation.inputs["instanceType"] == "p5.48xlarge"
        assert reservation.inputs["instanceCount"] == 2
        assert reservation.inputs["availabilityZone"] == "us-east-1a"
        assert (reservation.inputs["instanceMatchCriteria"], reservation.inputs["endDateType"]) == ("open", "unlimited")
        assert reservation.inputs["tags"]["karpenter.sh/discovery"] == "demo"
        assert group("reserved", GROUPED_POOL).inputs["subnetIds"] == ["demo-private-us-east-1a-id"]

    def test_it_lies_in_the_group_that_keeps_the_nodes_close_and_comes_before_them(self) -> None:
        recording = scene("reserved")
        (reservation,) = recording.of(RESERVATION)
        assert reservation.inputs["placementGroupArn"].endswith(f":placement-group/{GROUPED_POOL}")
        assert recording.position(RESERVATION, GROUPED_POOL) < recording.position(NODE_GROUP, GROUPED_POOL)

    def test_a_preview_says_what_it_costs(self) -> None:
        (sentence,) = scene("reserved").outputs["reservedCapacity"]
        assert sentence == (
            f"2 x p5.48xlarge in us-east-1a for {GROUPED_POOL}: billed from its creation to its deletion, used or not, "
            "USD 3.722 an hour on demand"
        )

    def test_reserved_prices_reserve_the_nodes_that_they_count(self) -> None:
        plan = priced_as_reserved(nodes=2)
        assert nodes_to_reserve(plan, ()) == {POOL: 2}
        assert nodes_to_reserve(plan, (POOL,)) == {}

    def test_a_pool_in_many_zones_is_put_where_its_reservation_lies(self) -> None:
        recording = record(lambda: deploy(priced_as_reserved(nodes=1), FILES, replace(SETTINGS, reserve=True)))
        assert recording.one(NODE_GROUP, POOL).inputs["subnetIds"] == ["demo-private-us-east-1a-id"]

    def test_with_nothing_to_reserve_it_is_bad_input(self) -> None:
        def program() -> None:
            with pytest.raises(BadInput, match="the plan reserves no node of the baseline"):
                deploy(make_plan(), FILES, replace(SETTINGS, reserve=True))

        assert record(program).resources == []


def priced_as_reserved(*, nodes: int) -> Plan:
    plan = make_plan(node_pools=(reserved_pool(),))
    item: LineItem = plan.cost.line_items[0].model_copy(update={"capacity_type": "reserved", "nodes": nodes})
    return plan.model_copy(update={"cost": plan.cost.model_copy(update={"line_items": (item,)})})


def reserved_pool() -> NodePool:
    return make_pool(capacity_types=("reserved", "on-demand"), min=3, max=3)
