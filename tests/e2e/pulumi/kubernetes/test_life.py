"""A stack on a cluster that is there, from the first preview to destroy, with the real engine, provider and API server."""

from __future__ import annotations

from collections.abc import Callable

from agentgpu_iac.units import money_text
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.cluster.trees import tree_of_text
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import drift, expected, left, planned, stack

Made = Callable[[str], Project]


def test_a_stack_comes_changes_and_goes_as_its_previews_say(equipped_cluster: ControlPlane, project: Made) -> None:
    small, large = stack("life"), stack("life", concurrent=200, digest=True)
    first, second = expected(small), expected(large)
    pulumi = project(small)

    said = pulumi.run("preview").text
    assert f"cost: USD {tree_of_text(small).plan.cost.baseline_usd_per_month:,.2f} a month for the baseline" in said
    assert "No earlier deployment of this Pulumi stack told its cost" in said
    assert planned(pulumi) == {"create": set(first)}
    assert not left(equipped_cluster, first)

    pulumi.up()
    assert drift(equipped_cluster, first) == []
    pulumi.up("--expect-no-changes")

    pulumi.write_spec(large)
    said = pulumi.run("preview").text
    before, after = (tree_of_text(spec).plan.cost.baseline_usd_per_month for spec in (small, large))
    assert f"baseline, USD/month: {before:,.2f} -> {after:,.2f} (+{after - before:,.2f})" in said
    assert f'baselineUsdPerMonth: "{money_text(before)}" => "{money_text(after)}"' in said
    assert planned(pulumi) == {
        op: objects
        for op, objects in {
            "create": second.keys() - first.keys(),
            "update": {key for key in first.keys() & second.keys() if first[key] != second[key]},
            "delete": first.keys() - second.keys(),
        }.items()
        if objects
    }
    pulumi.up()
    assert drift(equipped_cluster, second) == []
    pulumi.refresh("--expect-no-changes")

    pulumi.write_spec(small)
    pulumi.up()
    assert drift(equipped_cluster, first) == []
    gone = {key: second[key] for key in second.keys() - first.keys()}
    equipped_cluster.until("what the spec no longer asks for is gone", lambda: not left(equipped_cluster, gone))

    token = equipped_cluster.kubeconfig.read_text(encoding="utf-8").partition('"token": "')[2].partition('"')[0]
    assert token
    assert token.encode() not in pulumi.stored()

    pulumi.destroy()
    assert pulumi.resources() == []
    equipped_cluster.until("nothing of ours is left", lambda: not left(equipped_cluster, {**first, **second}))
