from __future__ import annotations

import email
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac import plan as p
from agentgpu_iac.errors import BadInput
from agentgpu_iac.plan.reading import plan_in
from agentgpu_iac.plan.writing import plan_text
from agentgpu_iac.rendering.render import render
from agentgpu_iac.rendering.write import write
from tests.examples import EXAMPLES
from tests.plans import make_plan, make_pool, make_tiered_plan, make_workload
from tests.rendering.kubectl import kustomized, needs_kubectl
from tests.rendering.test_yaml_text import SYNTAX
from tests.rendering.trees import PLANS, make_gated_plan, make_shared_plan, of_kind, pod_specs, tree
from tests.review.stacks import example


def engine(deployment: dict[str, Any]) -> dict[str, Any]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


@pytest.mark.broad(every=4)
@pytest.mark.parametrize("plan", PLANS)
def test_the_same_plan_gives_the_same_bytes(plan: str) -> None:
    files = render(PLANS[plan]())
    assert files == render(PLANS[plan]())
    assert [file.path for file in files] == sorted(file.path for file in files)


@pytest.mark.broad(every=4)
@pytest.mark.parametrize("plan", PLANS)
def test_replicas_accelerators_and_arguments_are_the_plans(plan: str) -> None:
    made = PLANS[plan]()
    deployments = {
        name: body
        for name, body in of_kind(made, "Deployment").items()
        if body["metadata"]["labels"]["app.kubernetes.io/component"] == "engine"
    }
    single = [workload for workload in made.workloads if workload.nodes_per_replica == 1]
    assert set(deployments) == {workload.name for workload in single}
    for workload in single:
        body = deployments[workload.name]
        container = engine(body)
        scaled = workload.scaling is not None
        assert body["spec"].get("replicas") == (None if scaled else workload.replicas.min)
        assert container["command"][-3:] == ["--", "vllm", "serve"]
        assert container["args"] == list(workload.engine.args)
        assert container["image"] == workload.engine.image
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert container["resources"]["limits"] == {
            "cpu": "3",
            "memory": "24Gi",
            "nvidia.com/gpu": str(workload.pod.accelerators),
        }


def test_drain_probes_and_rollout_are_the_plans() -> None:
    (deployment,) = of_kind(make_plan(), "Deployment").values()
    pod, container = deployment["spec"]["template"]["spec"], engine(deployment)
    assert pod["terminationGracePeriodSeconds"] == 60
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 15
    assert container["startupProbe"]["periodSeconds"] == 10
    assert container["startupProbe"]["failureThreshold"] == 60
    assert container["readinessProbe"]["periodSeconds"] == 5
    assert container["livenessProbe"]["failureThreshold"] == 3
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert deployment["spec"]["progressDeadlineSeconds"] == 1122


def test_without_a_pause_there_is_no_hook() -> None:
    drain = p.DrainPlan(pre_stop_s=0, shutdown_timeout_s=30, grace_period_s=60, answer_s=30, notice_s=None)
    (deployment,) = of_kind(make_plan(workloads=(make_workload(drain=drain),)), "Deployment").values()
    assert "lifecycle" not in engine(deployment)


def test_engines_read_models_and_keep_what_they_compile() -> None:
    (deployment,) = of_kind(make_plan(), "Deployment").values()
    pod, container = deployment["spec"]["template"]["spec"], engine(deployment)
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/models"]["readOnly"] is True
    assert environment(container)["VLLM_CACHE_ROOT"].startswith("/var/cache/engine/")
    assert mounts["/var/cache/engine"]["subPath"] == ".engine-cache/support/vllm-0.33.0"
    assert "--engine-cache=.engine-cache/support/vllm-0.33.0" in pod["initContainers"][0]["command"]
    assert environment(container)["HOME"] in mounts
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert {"runAsUser": 2000, "fsGroup": 2000, "fsGroupChangePolicy": "OnRootMismatch"}.items() <= pod[
        "securityContext"
    ].items()
    assert pod["nodeSelector"] == {"agentgpu.dev/node-pool": "demo-baseline-g6e-xlarge"}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_the_engine_s_own_words_paths_and_environment_are_the_plan_s() -> None:
    changes = {"name": "sglang", "command": ("python3", "-m", "sglang.launch_server"), "ready_path": "/ready"}
    changes["environment"] = (p.EnvironmentVariable(name="SGLANG_CACHE_DIR", value="/var/cache/engine/sglang"),)
    other = make_workload(engine=make_workload().engine.model_copy(update=changes))
    container = engine(of_kind(make_plan(workloads=(other,)), "Deployment")["support"])
    assert container["command"][-4:] == ["--", "python3", "-m", "sglang.launch_server"]
    assert "VLLM_CACHE_ROOT" not in environment(container)
    assert environment(container)["SGLANG_CACHE_DIR"] == "/var/cache/engine/sglang"
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert probes == {"startup": "/ready", "readiness": "/ready", "liveness": "/health"}


def test_an_engine_reads_its_files_from_a_config_map_named_by_their_content() -> None:
    def rendered(content: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
        file = p.EngineFile(name="options.yaml", content=content)
        one = make_workload(engine=make_workload().engine.model_copy(update={"files": (file,)}))
        plan = make_plan(workloads=(one,))
        deployment = of_kind(plan, "Deployment")["support"]
        volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
        name = volumes["settings"]["configMap"]["name"]
        return name, of_kind(plan, "ConfigMap")[name], deployment

    name, config_map, deployment = rendered("a: 1\n")
    assert config_map["data"] == {"options.yaml": "a: 1\n"}
    assert config_map["immutable"] is True
    mounts = {mount["mountPath"]: mount for mount in engine(deployment)["volumeMounts"]}
    assert mounts["/etc/engine"] == {"name": "settings", "mountPath": "/etc/engine", "readOnly": True}
    assert rendered("a: 2\n")[0] != name
    plain = of_kind(make_plan(), "Deployment")["support"]["spec"]["template"]["spec"]
    assert "settings" not in {volume["name"] for volume in plain["volumes"]}


def test_the_engine_waits_for_its_draft_model() -> None:
    draft = p.CachedRepository(path="qwen--qwen3-0.6b--main", revision="main")
    cache = make_workload().model_cache.model_copy(update={"draft": draft})
    deployment = of_kind(make_plan(workloads=(make_workload(model_cache=cache),)), "Deployment")["support"]
    command = deployment["spec"]["template"]["spec"]["initContainers"][0]["command"]
    at = command.index("qwen--qwen3-0.6b--main")
    assert command[at - 1 : at + 2] == ["--model", "qwen--qwen3-0.6b--main", "main"]


@pytest.mark.broad(every=4)
@pytest.mark.parametrize("plan", PLANS)
def test_pods_meet_the_restricted_standard(plan: str) -> None:
    for path, pod in pod_specs(PLANS[plan]()).items():
        assert restricted_faults(pod) == [], path


def test_the_namespace_asks_for_the_restricted_standard() -> None:
    labels = of_kind(make_plan(), "Namespace")["demo"]["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert labels[f"pod-security.kubernetes.io/{mode}-version"] == "latest"


def restricted_faults(pod: dict[str, Any]) -> list[str]:
    """The Pod Security standard's restricted profile, control by control."""
    containers = pod["containers"] + pod.get("initContainers", [])
    shared = pod["securityContext"]
    volumes = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    faults = [f"{key}" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    faults += [f"volume {each}" for each in pod["volumes"] if not set(each) - {"name"} <= volumes]
    faults += ["may be root"] if shared["runAsNonRoot"] is not True or shared["runAsUser"] == 0 else []
    faults += ["seccomp"] if shared["seccompProfile"]["type"] != "RuntimeDefault" else []
    safe = {f"net.ipv4.tcp_keepalive_{part}" for part in ("time", "intvl", "probes")}
    faults += [each["name"] for each in shared.get("sysctls", []) if each["name"] not in safe]
    for container in containers:
        own = container["securityContext"]
        faults += ["escalation"] if own["allowPrivilegeEscalation"] is not False else []
        faults += ["capabilities"] if own["capabilities"] != {"drop": ["ALL"]} else []
        faults += [
            key for key in ("privileged", "procMount", "runAsUser", "runAsNonRoot", "seccompProfile") if key in own
        ]
        faults += ["host port" for port in container.get("ports", []) if "hostPort" in port]
        faults += [probe for probe in container if "Probe" in probe and "host" in container[probe].get("httpGet", {})]
    return faults


def test_names_that_are_yaml_syntax_survive() -> None:
    args = ("/models/m", "--served-model-name", *SYNTAX)
    workloads = tuple(
        make_workload(
            agent=name,
            name=name,
            served_model_name=name,
            engine=make_workload().engine.model_copy(update={"args": args}),
        )
        for name in ("on", "null", "y", "no", "e1e3")
    )
    plan = make_plan(workloads=workloads)
    assert set(of_kind(plan, "Deployment")) == {"on", "null", "y", "no", "e1e3"}
    for name, body in of_kind(plan, "Deployment").items():
        assert body["metadata"]["labels"]["agentgpu.dev/agent"] == name
        assert engine(body)["args"] == list(args)


@pytest.mark.optional
@needs_kubectl
def test_kustomize_reads_the_same_names(tmp_path: Path) -> None:
    plan = make_plan(stack="on", workloads=(make_workload(agent="null", name="null"),))
    write(render(plan), tmp_path)
    names = {body["kind"]: body["metadata"]["name"] for body in kustomized(tmp_path / "base")}
    assert (names["Namespace"], names["Deployment"], names["Service"]) == ("on", "null", "null")


def test_one_service_covers_all_tiers_of_an_agent() -> None:
    plan = make_tiered_plan()
    (service,) = of_kind(plan, "Service").values()
    assert service["spec"]["ports"][0]["port"] == 8000
    for deployment in of_kind(plan, "Deployment").values():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for filler in of_kind(plan, "DaemonSet").values():
        labels = filler["spec"]["template"]["metadata"]["labels"]
        assert not service["spec"]["selector"].items() <= labels.items()


def test_tiers_of_an_agent_do_not_select_each_others_pods() -> None:
    baseline, burst = of_kind(make_tiered_plan(), "Deployment").values()
    assert baseline["spec"]["selector"] != burst["spec"]["selector"]


def test_endpoints_tell_programs_where_agents_are() -> None:
    plan = make_plan(workloads=(make_workload(agent="front-desk", name="front-desk", served_model_name="desk"),))
    data = of_kind(plan, "ConfigMap")["endpoints"]["data"]
    address = "http://front-desk.demo.svc.cluster.local:8000/v1"
    assert json.loads(data["endpoints.json"]) == {
        "front-desk": {"baseUrl": address, "model": "desk", "latencyClass": "chat", "contextTokens": 4096}
    }
    assert data["FRONT_DESK_BASE_URL"] == address
    assert data["FRONT_DESK_MODEL"] == "desk"
    assert data["FRONT_DESK_LATENCY_CLASS"] == "chat"


def test_the_cache_is_one_volume_for_all_nodes_of_a_pool() -> None:
    plan = make_tiered_plan()
    volumes, claims = of_kind(plan, "PersistentVolume"), of_kind(plan, "PersistentVolumeClaim")
    assert len(volumes) == len(claims) == 2
    for name, volume in volumes.items():
        claim = claims[name]
        spec = volume["spec"]
        assert spec["local"] == {"path": "/mnt/k8s-disks/0/models"}
        assert spec["claimRef"]["name"] == claim["metadata"]["name"]
        assert spec["claimRef"]["namespace"] == claim["metadata"]["namespace"] == "demo"
        assert claim["spec"]["volumeName"] == name
        assert spec["accessModes"] == claim["spec"]["accessModes"] == ["ReadWriteMany"]
        assert claim["spec"]["storageClassName"] == ""
        assert "storageClassName" not in spec
        assert spec["capacity"] == claim["spec"]["resources"]["requests"] == {"storage": "200Gi"}
        (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
        (match,) = term["matchExpressions"]
        assert f"model-cache-{match['values'][0]}" == name


def test_fillers_get_tokens_by_reference_only() -> None:
    plan = make_gated_plan()
    (filler,) = of_kind(plan, "DaemonSet").values()
    (container,) = filler["spec"]["template"]["spec"]["containers"]
    references = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"] for entry in container["env"] if "valueFrom" in entry
    }
    assert references == {
        "MODEL_TOKEN_1": {"name": "acme-token", "key": "token"},
        "MODEL_TOKEN_2": {"name": "other-token", "key": "token"},
    }
    maps = of_kind(plan, "ConfigMap")
    (listed,) = (
        body for name, body in maps.items() if name.startswith("model-cache") and name != "model-cache-scripts"
    )
    work = json.loads(listed["data"]["models.json"])
    assert (work["owner"], work["kept"]) == ("demo", ["local--main"])
    assert [(each["name"], each["tokenVariable"]) for each in work["models"]] == [
        ("acme/open", ""),
        ("acme/gated", "MODEL_TOKEN_1"),
        ("other/gated", "MODEL_TOKEN_2"),
    ]


def test_a_pool_that_its_owner_fills_has_no_filler() -> None:
    own = make_pool().cached_models[0].model_copy(update={"fill": False})
    plan = make_plan(node_pools=(make_pool(cached_models=(own,), filler=None),))
    assert of_kind(plan, "DaemonSet") == {}
    assert len(of_kind(plan, "PersistentVolumeClaim")) == 1


def test_a_changed_revision_restarts_the_fillers() -> None:
    newer = make_pool().cached_models[0].model_copy(update={"revision": "v2"})
    hashes = {
        filler["spec"]["template"]["metadata"]["annotations"]["agentgpu.dev/content-sha256"]
        for plan in (make_plan(), make_plan(node_pools=(make_pool(cached_models=(newer,)),)))
        for filler in of_kind(plan, "DaemonSet").values()
    }
    assert len(hashes) == 2


def test_shared_accelerators_are_time_sliced_and_never_autoscaled() -> None:
    made = tree(make_shared_plan())
    config = yaml.safe_load(made["device-plugin/configmap-demo-device-plugin.yaml"]["data"]["share-2"])
    assert config["version"] == "v1"
    assert config["sharing"]["timeSlicing"]["failRequestsGreaterThanOne"] is True
    assert config["sharing"]["timeSlicing"]["resources"] == [{"name": "nvidia.com/gpu", "replicas": 2}]
    assert not any(path.startswith(("karpenter/", "overlays/karpenter/")) for path in made)
    assert made["overlays/node-groups/kustomization.yaml"]["resources"] == ["../../base", "../../device-plugin"]


def test_nodes_without_a_configuration_of_their_own_share_nothing() -> None:
    """The device plugin takes the one named default there, or, where there is none, any single one."""
    data = tree(make_shared_plan())["device-plugin/configmap-demo-device-plugin.yaml"]["data"]
    assert sorted(data) == ["default", "share-2"]
    assert "sharing" not in yaml.safe_load(data["default"])


def test_a_pod_may_take_several_slots_where_the_plan_says_so() -> None:
    plan = make_shared_plan()
    wide = plan.workloads[0].model_copy(update={"pod": plan.workloads[0].pod.model_copy(update={"accelerators": 2})})
    made = tree(plan.model_copy(update={"workloads": (wide,)}))
    config = yaml.safe_load(made["device-plugin/configmap-demo-device-plugin.yaml"]["data"]["share-2"])
    assert config["sharing"]["timeSlicing"]["failRequestsGreaterThanOne"] is False


def test_karpenter_pools_follow_the_plan() -> None:
    plan = make_tiered_plan()
    pools = of_kind(plan, "NodePool")
    burst = pools["demo-burst-g6e-xlarge"]["spec"]
    requirements = {each["key"]: each["values"] for each in burst["template"]["spec"]["requirements"]}
    assert requirements == {
        "node.kubernetes.io/instance-type": ["g6e.xlarge"],
        "karpenter.sh/capacity-type": ["spot", "on-demand"],
        "kubernetes.io/arch": ["amd64"],
        "kubernetes.io/os": ["linux"],
    }
    assert burst["limits"] == {"nvidia.com/gpu": "3"}
    assert burst["template"]["spec"]["taints"] == [
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    ]
    assert burst["template"]["metadata"]["labels"]["agentgpu.dev/node-pool"] == "demo-burst-g6e-xlarge"
    assert burst["template"]["spec"]["expireAfter"] == "720h"
    assert burst["template"]["spec"]["terminationGracePeriod"] == "1500s"
    assert pools["demo-baseline-g6e-xlarge"]["spec"]["template"]["spec"]["expireAfter"] == "Never"


def test_node_classes_follow_the_plan() -> None:
    spec = of_kind(make_plan(), "EC2NodeClass")["demo-baseline-g6e-xlarge"]["spec"]
    assert spec["amiSelectorTerms"] == [{"alias": "al2023@v20261105"}]
    assert spec["instanceStorePolicy"] == "RAID0"
    assert spec["subnetSelectorTerms"] == [{"tags": {"karpenter.sh/discovery": "demo"}}]
    assert spec["blockDeviceMappings"][0]["ebs"] == {
        "volumeType": "gp3",
        "volumeSize": "100Gi",
        "iops": 3000,
        "throughput": 600,
        "encrypted": True,
        "deleteOnTermination": True,
    }
    assert spec["metadataOptions"]["httpTokens"] == "required"
    assert spec["metadataOptions"]["httpPutResponseHopLimit"] == 1
    assert "capacityReservationSelectorTerms" not in spec


def test_an_unpinned_image_says_so() -> None:
    (node_class,) = of_kind(make_plan(node_pools=(make_pool(ami_alias=None),)), "EC2NodeClass").values()
    assert node_class["spec"]["amiSelectorTerms"] == [{"alias": "al2023@latest"}]
    assert node_class["metadata"]["annotations"] == {"agentgpu.dev/ami": "unpinned"}


def test_reservations_and_instance_stores_appear_where_they_are() -> None:
    pool = make_pool(capacity_types=("reserved", "on-demand"), nvme_gb=0)
    (node_class,) = of_kind(make_plan(node_pools=(pool,)), "EC2NodeClass").values()
    assert node_class["spec"]["capacityReservationSelectorTerms"] == [{"tags": {"karpenter.sh/discovery": "demo"}}]
    assert "instanceStorePolicy" not in node_class["spec"]


def test_user_data_is_a_multipart_document_with_a_sound_script() -> None:
    (node_class,) = of_kind(make_plan(), "EC2NodeClass").values()
    message = email.message_from_string(node_class["spec"]["userData"])
    (part,) = message.get_payload()  # type: ignore[misc]
    assert part.get_content_type() == "text/x-shellscript"  # type: ignore[union-attr]
    script = part.get_payload()  # type: ignore[union-attr]
    assert script.startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert "--owner=2000 --group=2000 --mode=2770 /mnt/k8s-disks/0/models\n" in script


@pytest.mark.parametrize(("pull", "gated"), [("parallel", True), ("default", False)])
def test_images_are_pulled_in_parallel_where_the_plan_counts_on_it(pull: str, gated: bool) -> None:
    pool = make_pool(image_pull=pull)
    (node_class,) = of_kind(make_plan(node_pools=(pool,)), "EC2NodeClass").values()
    message = email.message_from_string(node_class["spec"]["userData"])
    assert message.defects == []
    configs = [
        yaml.safe_load(part.get_payload())  # type: ignore[union-attr, arg-type]
        for part in message.get_payload()
        if part.get_content_type() == "application/node.eks.aws"  # type: ignore[union-attr]
    ]
    gate = {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {"featureGates": {"FastImagePull": True}},
    }
    assert configs == ([gate] if gated else [])
    assert node_class["spec"]["blockDeviceMappings"][0]["ebs"]["throughput"] == pool.root_volume_mib_per_s


@pytest.mark.parametrize("target", ["kubernetes"])
def test_other_targets_get_the_base_and_make_their_own_nodes(target: str) -> None:
    folders = {path.rsplit("/", 1)[0] for path in tree(make_plan(target=target))}
    assert folders == {"base", "overlays/node-groups"}


@pytest.mark.broad(every=4)
@pytest.mark.optional
@needs_kubectl
@pytest.mark.parametrize("plan", PLANS)
def test_kustomize_builds_every_overlay(plan: str, tmp_path: Path) -> None:
    made = PLANS[plan]()
    write(render(made), tmp_path)
    for overlay in sorted((tmp_path / "overlays").iterdir()):
        built = kustomized(overlay)
        left_out = {"overlays", *(["karpenter"] if overlay.name != "karpenter" else [])}
        wanted = [body for path, body in tree(made).items() if path.split("/")[0] not in left_out]
        objects = [body for body in wanted if body["kind"] != "Kustomization"]
        assert sorted(map(printed, built)) == sorted(map(printed, objects))


def printed(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True)


def test_every_file_is_listed_by_its_kustomization() -> None:
    made = tree(make_tiered_plan())
    for path, body in made.items():
        if path.startswith(("base/", "karpenter/")) and path.endswith("kustomization.yaml"):
            folder = path.rsplit("/", 1)[0]
            beside = {each.split("/")[1] for each in made if each.startswith(f"{folder}/")}
            assert set(body["resources"]) == beside - {"kustomization.yaml"}


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (make_plan(workloads=(make_workload(), make_workload())), "2 objects would be Deployment 'support'"),
        (make_plan(stack="Demo"), "'Demo' cannot name a Namespace"),
        (make_plan(stack="d" * 64), "cannot be the value of a label"),
        (make_plan(workloads=(make_workload(agent="3d", name="3d"),)), "'3d' cannot name a Service"),
        (make_plan(workloads=(make_workload(name="../up"),)), "'../up' cannot name a Deployment"),
        (
            make_plan(workloads=(make_workload(pod=make_workload().pod.model_copy(update={"accelerators": 2})),)),
            "a pod of 2 does not fit a node of 1",
        ),
        (make_plan(node_pools=(make_pool(cache_path="/mnt/$(reboot)"),)), "cannot be put into user data"),
        (make_plan(node_pools=(make_pool(cache_path="/mnt/../etc"),)), "cannot be put into user data"),
        (make_plan(node_pools=(make_pool(ami_alias="bottlerocket@v1.40.0"),)), "is of another family"),
        (make_plan(node_pools=(make_pool(), make_pool(name="idle"))), "no workload runs there"),
        (make_plan(workloads=(make_workload(model="\ud800"),)), "lone surrogate"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be_printed_are_refused(plan: p.Plan, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        render(plan)
    assert message in str(caught.value)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        render(make_plan(stack="Demo", workloads=(make_workload(name="A"), make_workload(name="B", agent="C"))))
    text = str(caught.value)
    assert all(message in text for message in ("'Demo'", "'A'", "'B'", "'C'"))


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_saved_plan_gives_the_same_files(path: Path) -> None:
    """A price comes back from JSON without the zeros at its end."""
    plan = example(path).plan
    assert render(plan_in(plan_text(plan).encode(), "plan.json")) == render(plan)
