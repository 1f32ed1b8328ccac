"""What the plan decides for the safety of a stack: priorities, spread, Secrets, quota and GitOps."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agentgpu_iac.plan import Plan
from agentgpu_iac.planning.engines import PORTS
from agentgpu_iac.planning.engines.vllm import VLLM
from agentgpu_iac.planning.planner import NoPlan
from tests.planning.scenes import codes, make_agent, make_catalog, make_model, offerings, only, plan, workload

BURST: dict[str, Any] = {"burstFactor": 20.0, "rampS": 3000.0}
GITOPS: dict[str, Any] = {"tool": "argocd", "repository": "https://git.example.com/a/b.git", "path": "stacks/demo"}
EIGHTS = make_catalog(offerings("s8", "small-40", 8, on_demand="4.00", spot="3.00"))


def bursting(**spec: Any) -> Plan:
    return plan(make_agent(traffic=BURST, conversation={"thinkTimeS": 0}), accelerators=only("small-40"), **spec)


class TestPriorities:
    def test_warm_replicas_stand_above_bursts_and_those_above_background(self) -> None:
        found = plan(
            make_agent(traffic=BURST, conversation={"thinkTimeS": 0}),
            make_agent("batch", latencyClass="background"),
            accelerators=only("small-40"),
            capacity={"shareAccelerators": "never"},
        )
        assert workload(found).pod.priority == "user-facing"
        assert workload(found, tier="burst").pod.priority == "burst"
        assert workload(found, "batch").pod.priority == "background"
        values = {one.level: one.value for one in found.priority_classes}
        assert values["user-facing"] > values["burst"] > values["background"] > 0
        assert max(values.values()) < 1_000_000_000
        assert {one.level for one in found.priority_classes if not one.preempts} == {"background"}

    def test_only_classes_in_use_are_made(self) -> None:
        assert [one.level for one in plan(make_agent()).priority_classes] == ["user-facing"]

    def test_no_engine_may_push_out_the_filler_that_it_waits_for(self) -> None:
        found = plan(make_agent("a"), make_agent("b", latencyClass="background"), make_agent("c", traffic=BURST))
        values = {one.level: one.value for one in found.priority_classes}
        for one in found.workloads:
            filler = found.pool(one.node_pool).filler
            assert filler is not None
            assert values[filler.priority] >= values[one.pod.priority]


class TestSpread:
    def test_a_lone_replica_is_not_spread(self) -> None:
        assert workload(plan(make_agent())).pod.spread == ()

    def test_warm_replicas_on_several_nodes_are_spread(self) -> None:
        found = plan(make_agent(overrides={"baselineReplicas": 3}), accelerators=only("small-40"))
        assert found.pool(workload(found).node_pool).max > 1
        assert workload(found).pod.spread == ("zone", "host")

    def test_replicas_of_one_node_are_not_spread(self) -> None:
        found = plan(make_agent(overrides={"baselineReplicas": 3}), catalog=EIGHTS)
        assert found.pool(workload(found).node_pool).max == 1
        assert workload(found).pod.spread == ()

    def test_a_burst_that_can_share_nodes_is_not_spread(self) -> None:
        agent = make_agent(traffic=BURST, overrides={"baselineReplicas": 1, "burstReplicas": 12})
        found = plan(agent, catalog=EIGHTS)
        burst = workload(found, tier="burst")
        assert found.pool(burst.node_pool).max == 2
        assert burst.pod.spread == ()

    def test_a_burst_of_one_replica_a_node_is_spread(self) -> None:
        agent = make_agent(traffic=BURST, overrides={"burstReplicas": 3})
        burst = workload(plan(agent, accelerators=only("small-40")), tier="burst")
        assert burst.pod.spread == ("zone", "host")


class TestSecrets:
    def test_engines_ask_for_the_key_that_the_spec_names(self) -> None:
        found = plan(make_agent(), security={"apiKeySecret": "front-door"})
        (variable,) = workload(found).engine.secret_environment
        assert (variable.variable, variable.secret, variable.key) == ("VLLM_API_KEY", "front-door", "key")
        assert not any("front-door" in word for word in workload(found).engine.args)
        assert found.security.api_key_secret == "front-door"

    def test_a_key_can_be_an_argument_that_names_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        port = dataclasses.replace(VLLM, api_key_variable="ENGINE_KEY", api_key_args=("--api-key", "$(ENGINE_KEY)"))
        monkeypatch.setitem(PORTS, "vllm", port)
        engine = workload(plan(make_agent(), security={"apiKeySecret": "front-door"})).engine
        assert engine.args[-2:] == ("--api-key", "$(ENGINE_KEY)")
        assert [one.variable for one in engine.secret_environment] == ["ENGINE_KEY"]
        assert "--api-key" not in workload(plan(make_agent())).engine.args

    def test_an_engine_that_cannot_ask_for_a_key_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(PORTS, "vllm", dataclasses.replace(VLLM, api_key_variable=None))
        with pytest.raises(NoPlan, match="cannot ask callers for an API key"):
            plan(make_agent(), security={"apiKeySecret": "front-door"})
        assert workload(plan(make_agent())).engine.secret_environment == ()

    def test_nobody_is_asked_for_a_key_by_default(self) -> None:
        found = plan(make_agent())
        assert workload(found).engine.secret_environment == ()
        assert found.security.secrets == ()

    def test_a_store_is_asked_for_each_secret_by_its_path(self) -> None:
        found = plan(
            make_agent(),
            modelCache={"tokenSecret": "hub-token"},
            security={
                "apiKeySecret": "front-door",
                "externalSecrets": {"store": "vault", "pathPrefix": "prod/agents/"},
            },
        )
        assert [(one.name, one.key, one.store_key) for one in found.security.secrets] == [
            ("hub-token", "token", "prod/agents/hub-token"),
            ("front-door", "key", "prod/agents/front-door"),
        ]
        assert found.security.secret_store is not None
        assert found.security.secret_store.kind == "ClusterSecretStore"

    def test_without_a_store_you_make_them(self) -> None:
        (secret,) = plan(make_agent(), security={"apiKeySecret": "front-door"}).security.secrets
        assert secret.store_key is None


def test_requests_through_a_gateway_come_from_its_namespace() -> None:
    network = {"router": "gateway", "gateway": {"name": "public", "namespace": "edge"}}
    assert plan(make_agent(), network=network, security={"callers": ["web"]}).security.callers == ("edge", "web")
    assert plan(make_agent(), network=network).security.callers == ()


def test_a_quota_can_be_left_out() -> None:
    assert plan(make_agent(), security={"resourceQuota": False}).quota is None


def test_the_quota_holds_a_surge_and_a_replica_that_drains() -> None:
    found = plan(make_agent())
    one, quota = workload(found), found.quota
    assert quota is not None
    assert quota.accelerators == (one.replicas.max + one.rollout.max_surge + 1) * one.pod.accelerators


class TestDelivery:
    def gitops(self, **changes: Any) -> Any:
        return bursting(gitops={**GITOPS, **changes}).gitops

    def test_without_a_tool_nothing_is_decided(self) -> None:
        assert plan(make_agent()).gitops is None

    def test_the_path_is_the_overlays(self) -> None:
        assert self.gitops().path == "stacks/demo/overlays/karpenter"
        assert self.gitops(overlay="node-groups").path == "stacks/demo/overlays/node-groups"

    def test_an_overlay_that_is_not_rendered_is_replaced_and_said(self) -> None:
        found = plan(make_agent(), target="kubernetes", providers=["aws"], gitops=GITOPS)
        assert found.gitops is not None
        assert found.gitops.path == "stacks/demo/overlays/node-groups"
        assert "gitops-overlay" in codes(found)
        assert "gitops-overlay" not in codes(bursting(gitops=GITOPS))

    @pytest.mark.parametrize(("tool", "namespace"), [("argocd", "argocd"), ("flux", "flux-system")])
    def test_each_tool_has_its_namespace(self, tool: str, namespace: str) -> None:
        assert self.gitops(tool=tool).namespace == namespace
        assert self.gitops(tool=tool, namespace="ops").namespace == "ops"

    @pytest.mark.parametrize(
        ("revision", "kind"),
        [("main", "branch"), ("release/1.2", "branch"), ("v1.2.3", "tag"), ("1.2", "tag"), ("v2.0.0-rc.1", "tag")],
    )
    def test_a_version_is_a_tag_and_anything_else_a_branch(self, revision: str, kind: str) -> None:
        assert self.gitops(revision=revision).revision_kind == kind

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ("git@git.example.com:acme/stacks.git", "ssh://git@git.example.com/acme/stacks.git"),
            ("ssh://git@git.example.com/acme/stacks.git", "ssh://git@git.example.com/acme/stacks.git"),
            ("https://git.example.com/acme/stacks.git", "https://git.example.com/acme/stacks.git"),
        ],
    )
    def test_repositories_are_told_as_urls(self, given: str, told: str) -> None:
        assert self.gitops(repository=given).repository == told

    def test_a_rollout_is_given_the_time_of_a_cold_start(self) -> None:
        found = bursting(gitops=GITOPS)
        assert found.gitops is not None
        assert found.gitops.timeout_s == workload(found).rollout.progress_deadline_s
        assert found.gitops.timeout_s > workload(found).cold_start_s.total

    def test_replicas_that_someone_else_sets_are_left_alone(self) -> None:
        assert self.gitops().others_scale == ("support-burst",)
        assert self.gitops(tool="flux").others_scale == ()
        by_hand = bursting(gitops={**GITOPS, "tool": "flux"}, scaling={"method": "none"})
        assert by_hand.gitops is not None
        assert by_hand.gitops.others_scale == ("support-burst",)


def test_fillers_download_from_the_bucket_that_the_spec_names() -> None:
    found = plan(make_agent(), modelCache={"source": "s3", "bucket": "s3://acme-models/agents"})
    filler = found.pool(workload(found).node_pool).filler
    assert filler is not None
    assert filler.bucket == "s3://acme-models/agents"
    assert workload(found).model_cache.source == "s3"


def test_fillers_download_from_the_hub_by_default() -> None:
    found = plan(make_agent())
    filler = found.pool(workload(found).node_pool).filler
    assert filler is not None
    assert filler.bucket is None


def test_a_model_known_by_its_config_alone_may_lie_in_a_bucket() -> None:
    local = make_model("test/dense", 8, is_local=True)
    catalog = make_catalog(models=(local,))
    hub = plan(make_agent(), catalog=catalog)
    bucket = plan(make_agent(), catalog=catalog, modelCache={"source": "s3", "bucket": "s3://acme-models"})
    assert [model.fill for pool in hub.node_pools for model in pool.cached_models] == [False]
    assert [model.fill for pool in bucket.node_pools for model in pool.cached_models] == [True]
    assert "weights-not-filled" in codes(hub)
    assert "weights-not-filled" not in codes(bucket)
    assert hub.node_pools[0].filler is None
    assert bucket.node_pools[0].filler is not None
