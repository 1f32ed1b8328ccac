"""The program as a whole: manifests, outputs, secrets, and the plans that it refuses."""

from __future__ import annotations

import json
import re
import runpy
import sys
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType

import pulumi
import pytest
import yaml

import agentgpu_iac
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan import (
    NamedSecret,
    Plan,
    RenderedFile,
    reading,  # noqa: F401 - before its loader is stood in for
)
from agentgpu_iac.plan.nodes import ENGINE_UID
from agentgpu_iac.plan.writing import plan_text
from agentgpu_iac.provisioning.aws.api_endpoint import ApiEndpoint
from agentgpu_iac.provisioning.aws.cluster_settings import ClusterSettings
from agentgpu_iac.provisioning.aws.existing_settings import ExistingSettings
from agentgpu_iac.provisioning.aws.program import deploy
from agentgpu_iac.provisioning.aws.settings import Settings
from agentgpu_iac.provisioning.manifests import read_manifests
from agentgpu_iac.provisioning.spheron.program import Settings as MachineSettings
from tests.plans import make_plan, make_pool, make_security, make_tiered_plan
from tests.provisioning.recording import record
from tests.provisioning.scenes import FILES, OPTIONS, SCENES, SETTINGS, kustomization, scene
from tests.rendered import rendered_once

ROOT = Path(__file__).parents[2]
GROUP = "kubernetes:yaml/v2:ConfigGroup"


def test_the_base_is_applied_once_as_rendered() -> None:
    (group,) = scene("single").of(GROUP)
    expected = [yaml.load(file.content, yaml.CSafeLoader) for file in FILES[1:4]]
    assert group.inputs["objs"] == expected
    assert group.inputs["skipAwait"] is True


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("name", SCENES)
def test_serving_comes_after_every_node_group(name: str) -> None:
    recording = scene(name)
    last_group = max(
        recording.position(group.token, group.name) for group in recording.of("aws:eks/nodeGroup:NodeGroup")
    )
    assert last_group < recording.position(GROUP, "demo")


def test_objects_of_an_installed_operator_are_applied_too() -> None:
    settings = replace(SETTINGS, installed_api_groups=frozenset({"keda.sh"}))
    recording = record(lambda: deploy(make_plan(), FILES, settings))
    (group,) = recording.of(GROUP)
    assert [one["kind"] for one in group.inputs["objs"]] == ["Namespace", "Deployment", "Service"]
    (scaled,) = recording.of("kubernetes:keda.sh/v1alpha1:ScaledObject")
    assert recording.position(GROUP, "demo") < recording.position(scaled.token, scaled.name)
    assert recording.outputs["notApplied"] == []
    assert scene("single").outputs["notApplied"] == ["ScaledObject support (keda.sh/v1alpha1)"]


def test_nobody_else_asks_for_nodes() -> None:
    manifests = read_manifests(FILES, frozenset({"karpenter.sh", "karpenter.k8s.aws", "keda.sh"}))
    assert manifests.waiting == ()
    assert "NodePool" not in {one.kind for one in manifests.applied}


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("name", SCENES)
def test_rendered_manifests_and_node_groups_agree(name: str) -> None:
    plan = SCENES[name]()
    files = rendered_once(plan)
    recording = record(lambda: deploy(plan, files, SETTINGS))
    (group,) = recording.of(GROUP)
    objects = group.inputs["objs"]
    assert len(objects) == len([file for file in files if file.path.startswith("base/")]) - 1
    urls = {
        one["metadata"]["name"]: f"http://{one['metadata']['name']}.{one['metadata']['namespace']}.svc.cluster.local:"
        f"{one['spec']['ports'][0]['port']:.0f}/v1"
        for one in objects
        if one["kind"] == "Service"
    }
    assert urls == recording.outputs["agentUrls"]
    pods = [one["spec"]["template"]["spec"] for one in objects if one["kind"] in {"Deployment", "DaemonSet"}]
    groups = [one.inputs for one in recording.of("aws:eks/nodeGroup:NodeGroup") if "taints" in one.inputs]
    for pod in pods:
        assert any(pod["nodeSelector"].items() <= one["labels"].items() for one in groups)
        assert {toleration["key"] for toleration in pod["tolerations"]} == {"nvidia.com/gpu"}
        assert pod["securityContext"]["runAsUser"] == ENGINE_UID
    volumes = {one["spec"]["local"]["path"] for one in objects if one["kind"] == "PersistentVolume"}
    assert volumes == {pool.cache_path for pool in plan.node_pools}


def test_a_file_may_hold_several_objects() -> None:
    both = RenderedFile(path="base/two.yaml", content=FILES[1].content + b"---\n" + FILES[3].content + b"---\n")
    files = (kustomization("base", "two.yaml"), both)
    assert [one.kind for one in read_manifests(files, frozenset(), "base").applied] == ["Namespace", "Service"]


def test_outputs() -> None:
    plan, outputs = make_tiered_plan(), scene("tiered").outputs
    cost = outputs["cost"]
    assert outputs["clusterName"] == "demo"
    assert outputs["agentUrls"] == {"support": "http://support.demo.svc.cluster.local:8000/v1"}
    assert cost["baselineUsdPerMonth"] == str(plan.cost.baseline_usd_per_month) == "1339.92"
    assert cost["peakUsdPerHour"] == str(plan.cost.peak_usd_per_hour)
    assert cost["priceDates"] == ["2026-07-20"]
    assert outputs["reservedCapacity"] == []


def test_the_cost_says_what_it_leaves_out() -> None:
    def left_out(name: str) -> str:
        return str(scene(name).outputs["cost"]["excludes"])

    assert all("the EKS control plane, the system nodes" in left_out(name) for name in [*SCENES, *OPTIONS])
    assert "NAT gateway" in left_out("single")
    assert "NAT gateway" not in left_out("existing")
    assert "interface endpoints" in left_out("private")
    assert "interface endpoints" not in left_out("single")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("single", ["NVIDIA device plugin 0.18.2", "serves keda.sh"]),
        (
            "tiered",
            ["NVIDIA device plugin 0.18.2", "Cluster Autoscaler; without", "priority expander", "serves keda.sh"],
        ),
        ("shared", ["NVIDIA device plugin 0.18.2", "configuration share-2", "serves keda.sh"]),
    ],
)
def test_prerequisites_are_the_ones_of_this_plan(name: str, expected: list[str]) -> None:
    found = scene(name).outputs["prerequisites"]
    assert len(found) == len(expected)
    assert all(words in sentence for words, sentence in zip(expected, found, strict=True))


def test_prerequisites_name_the_secrets_that_nobody_makes() -> None:
    secret = NamedSecret(name="mine", key="key", purpose="is what callers send", store_key=None)
    plan = make_plan(security=make_security(secrets=(secret,)))
    told = "\n".join(record(lambda: deploy(plan, FILES, SETTINGS)).outputs["prerequisites"])
    assert "the Secret mine with the key key in the namespace demo (is what callers send)" in told


@pytest.mark.parametrize("name", SCENES)
def test_the_kubeconfig_is_a_secret_and_holds_no_token(name: str) -> None:
    recording = scene(name)
    assert recording.secret_outputs == {"kubeconfig"}
    config = json.loads(recording.outputs["kubeconfig"])
    (user,) = config["users"]
    assert set(user["user"]) == {"exec"}
    assert user["user"]["exec"]["args"][:4] == ["--region", "us-east-1", "eks", "get-token"]
    assert config["clusters"][0]["cluster"]["server"] == "https://cluster.invalid"


@pytest.mark.parametrize("name", SCENES)
def test_no_input_holds_the_kubeconfig_in_clear(name: str) -> None:
    recording = scene(name)
    holders = {place for place, text in recording.strings() if "https://cluster.invalid" in text}
    assert holders == {"pulumi:providers:kubernetes demo"}
    (provider,) = recording.of("pulumi:providers:kubernetes")
    assert provider.inputs["kubeconfig"] == {
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
        "value": recording.outputs["kubeconfig"],
    }


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (make_plan(target="compose"), "carries out plans for 'eks', not for 'compose'"),
        (make_plan(node_pools=(make_pool(provider="spheron"),)), "cannot make nodes of 'spheron'"),
        (make_plan(node_pools=()), "no node pool"),
        (
            make_plan(node_pools=(make_pool(), make_pool(name="far", region="us-west-2"))),
            "cannot span us-east-1 and us-west-2",
        ),
        (
            make_plan(node_pools=(make_pool(), make_pool(name="new", kubernetes_version="1.35"))),
            r"cannot run Kubernetes 1\.34 and 1\.35",
        ),
        (make_plan(node_pools=(make_pool(region="us-west-2"),)), "made for us-west-2, but .* deploys to us-east-1"),
    ],
    ids=["target", "provider", "empty", "regions", "versions", "elsewhere"],
)
def test_a_plan_that_eks_cannot_carry_out_is_bad_input(plan: Plan, message: str) -> None:
    def program() -> None:
        with pytest.raises(BadInput, match=message):
            deploy(plan, FILES, SETTINGS)

    assert record(program).resources == []


def test_all_faults_are_told_at_once() -> None:
    plan = make_plan(target="compose", node_pools=(make_pool(provider="spheron", region="eu"),))

    def program() -> None:
        with pytest.raises(BadInput) as caught:
            deploy(plan, FILES, SETTINGS)
        assert len(caught.value.faults) == 3

    record(program)


def test_settings_come_from_the_pulumi_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_root_directory", lambda: ".")
    pulumi.runtime.set_all_config(
        {
            "agentgpu:apiEndpoint": "private",
            "agentgpu:apiAllowedCidrs": '["192.0.2.0/24"]',
            "agentgpu:installedApiGroups": '["keda.sh"]',
            "agentgpu:charts": '{"keda": "charts/keda"}',
            "agentgpu:cluster": "shared",
            "agentgpu:karpenterVersion": "1.14.1",
            "agentgpu:adminRoleArns": '["arn:aws:iam::123456789012:role/Operator"]',
            "agentgpu:vpcId": "vpc-1",
            "agentgpu:privateSubnetIds": '["subnet-a", "subnet-b"]',
            "agentgpu:tagSubnets": "true",
            "agentgpu:interfaceEndpoints": "true",
            "agentgpu:capacityReservationIds": '{"pool": "cr-1"}',
            "agentgpu:capacityReservationZones": '{"pool": "us-east-1a"}',
            "agentgpu:reserve": "true",
            "agentgpu:budgetEmails": '["ops@example.org"]',
            "agentgpu:nodes": "karpenter",
            "agentgpu:karpenterChart": "charts/karpenter",
            "agentgpu:modelBucket": "create",
            "agentgpu:deleteModelBucket": "true",
            "agentgpu:nodeGroupGenerations": '{"pool": 2}',
            "agentgpu:kubernetesSupport": "standard",
            "agentgpu:vpcCidr": "10.8.0.0/18",
            "agentgpu:deletionProtection": "true",
            "agentgpu:protect": "true",
            "agentgpu:sessionManager": "true",
            "agentgpu:wayOut": "192.0.2.7",
            "agentgpu:burstNodes": "2",
            "agentgpu:burstMachines": '{"pool": 3}',
            "agentgpu:burstListed": '{"pool": 1}',
            "agentgpu:burstApart": "true",
        }
    )
    found = Settings.from_config(pulumi.Config("agentgpu"))
    assert found == Settings(
        api_endpoint=ApiEndpoint(kind="private", allowed_cidrs=("192.0.2.0/24",)),
        installed_api_groups=frozenset({"keda.sh"}),
        charts={"keda": "charts/keda"},
        admin_role_arns=("arn:aws:iam::123456789012:role/Operator",),
        vpc_id="vpc-1",
        private_subnet_ids=("subnet-a", "subnet-b"),
        tag_subnets=True,
        interface_endpoints=True,
        capacity_reservation_ids={"pool": "cr-1"},
        capacity_reservation_zones={"pool": "us-east-1a"},
        reserve=True,
        budget_emails=("ops@example.org",),
        nodes="karpenter",
        karpenter_chart="charts/karpenter",
        model_bucket="create",
        delete_model_bucket=True,
        cluster=ClusterSettings(
            node_group_generations={"pool": 2},
            kubernetes_support="standard",
            vpc_cidr="10.8.0.0/18",
            deletion_protection=True,
            protect=True,
            session_manager=True,
        ),
        existing=ExistingSettings(cluster="shared", karpenter_version="1.14.1"),
        way_out="192.0.2.7",
        machines=MachineSettings(burst_nodes=2, burst_machines={"pool": 3}, burst_listed={"pool": 1}),
        burst_apart=True,
    )
    assert all(getattr(found, each.name) != getattr(Settings(), each.name) for each in fields(Settings))
    pulumi.runtime.set_all_config({})
    assert Settings.from_config(pulumi.Config("agentgpu")) == Settings()


def test_every_setting_is_declared_with_a_description_and_the_default_that_holds_without_it() -> None:
    """What the Pulumi CLI fills in is what the program would take."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert all(one["description"].strip() for one in declared.values())
    defaults = {
        f"agentgpu:{key}": one["default"] if isinstance(one["default"], str) else json.dumps(one["default"])
        for key, one in declared.items()
        if "default" in one
    }
    pulumi.runtime.set_all_config(defaults)
    assert Settings.from_config(pulumi.Config("agentgpu")) == Settings()


def test_the_project_file() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert (project["name"], project["runtime"]) == ("agentgpu", "python")
    assert project["main"] == project["stackConfigDir"] == "stacks"
    stack = yaml.safe_load((ROOT / "stacks" / "Pulumi.customer-service.yaml").read_text())
    assert stack["config"] == {"aws:region": "us-east-1", "agentgpu:spec": "stacks/customer-service.yaml"}


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, **names: object) -> None:
    """Put a module with these names in the place of one of another room."""
    made = ModuleType(module)
    vars(made).update(names)
    monkeypatch.setitem(sys.modules, module, made)


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Stand-ins for loader, catalog, planner and renderer; the list receives the paths that were asked for."""
    asked: list[Path] = []

    def load(path: Path) -> Path:
        asked.append(path)
        return path

    def load_catalog(overlay: Path | None, *, base_directory: Path) -> Path:
        assert overlay is None
        asked.append(base_directory)
        return base_directory

    def make(spec: Path, catalog: Path) -> Plan:
        if spec.name == "bad.yaml":
            raise BadInput.one("bad.yaml", "no agents")
        return make_plan()

    stand_in(monkeypatch, "agentgpu_iac.spec.loader", load=load)
    stand_in(monkeypatch, "agentgpu_iac.catalog.store", load_catalog=load_catalog)
    stand_in(monkeypatch, "agentgpu_iac.planning.planner", make_plan=make)
    stand_in(monkeypatch, "agentgpu_iac.rendering.render", render=lambda plan: FILES)
    monkeypatch.chdir(tmp_path)
    return asked


def run_main(spec: str | None = None, **more: str) -> None:
    named = {} if spec is None else {"agentgpu:spec": spec}
    pulumi.runtime.set_all_config(
        {
            "aws:region": "us-east-1",
            "agentgpu:apiAllowedCidrs": '["203.0.113.0/24"]',
            **named,
            **{f"agentgpu:{name}": value for name, value in more.items()},
        }
    )
    runpy.run_path(str(ROOT / "stacks" / "__main__.py"), run_name="__main__")


def test_main_finds_the_spec_from_the_project_root(rooms: list[Path]) -> None:
    recording = record(lambda: run_main("stacks/customer-service.yaml"))
    assert rooms == [ROOT / "stacks" / "customer-service.yaml", ROOT / "stacks"]
    assert {one.token for one in recording.resources} == {one.token for one in scene("single").resources}


def test_main_shows_bad_input_as_a_message(rooms: list[Path]) -> None:
    def program() -> None:
        with pytest.raises(pulumi.RunError, match=r"^bad\.yaml: no agents$"):
            run_main("stacks/bad.yaml")

    assert record(program).resources == []


def test_main_says_what_to_install_without_pulumi(rooms: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pulumi", None)
    told = r"^the Pulumi program: needs pulumi, which is not installed \(pip install 'agentgpu-iac\[pulumi\]'\)$"
    with pytest.raises(SystemExit, match=told):
        runpy.run_path(str(ROOT / "stacks" / "__main__.py"), run_name="__main__")
    assert rooms == []


@pytest.mark.parametrize("library", ["pulumi_aws", "pulumi_kubernetes"])
def test_main_says_what_to_install_beside_pulumi(
    rooms: list[Path], monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("agentgpu_iac.provisioning.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    told = rf"needs {library}, which is not installed \(pip install 'agentgpu-iac\[pulumi\]'\)$"

    def program() -> None:
        with pytest.raises(pulumi.RunError, match=told):
            run_main("stacks/customer-service.yaml")

    assert record(program).resources == []


def test_main_takes_a_saved_plan_and_plans_nothing(rooms: list[Path], tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(plan_text(make_plan()))
    recording = record(lambda: run_main(plan=str(tmp_path / "plan.json")))
    assert rooms == []
    assert {one.token for one in recording.resources} == {one.token for one in scene("single").resources}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "^set agentgpu:spec"),
        ({"spec": "stacks/a.yaml", "plan": "plan.json"}, "^agentgpu:plan names a plan that is made"),
        ({"plan": "plan.json", "catalog": "mine.yaml"}, "^agentgpu:plan names a plan that is made"),
        ({"plan": "stacks/customer-service.yaml"}, "is no plan"),
    ],
)
def test_main_takes_one_of_spec_and_plan(rooms: list[Path], config: dict[str, str], message: str) -> None:
    def program() -> None:
        with pytest.raises(pulumi.RunError, match=message):
            run_main(**config)

    assert record(program).resources == []


def test_main_uses_the_public_surface_alone() -> None:
    text = (ROOT / "stacks" / "__main__.py").read_text()
    assert re.findall(r"^(?:from|import) (\S+)", text, re.MULTILINE) == ["pathlib", "agentgpu_iac"]
    assert set(re.findall(r"agentgpu\.(\w+)", text)) <= set(agentgpu_iac.__all__)


def test_main_stays_short() -> None:
    assert len((ROOT / "stacks" / "__main__.py").read_text().splitlines()) < 30
