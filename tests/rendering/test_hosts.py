"""What one virtual machine of each pool is given."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac import plan as p
from agentgpu_iac.plan import machine_paths as paths
from agentgpu_iac.rendering.templates import verbatim
from tests.plans import make_machines_plan, make_workload
from tests.rendered import rendered_once

BASELINE, BURST = "hosts/demo-baseline", "hosts/demo-burst"


def texts(plan: p.Plan) -> dict[str, str]:
    return {file.path: file.content.decode() for file in rendered_once(plan)}


def services(plan: p.Plan, folder: str = BASELINE) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(texts(plan)[f"{folder}/docker-compose.yaml"])["services"]
    return found


def engines(plan: p.Plan, folder: str = BASELINE) -> dict[str, Any]:
    return {name: one for name, one in services(plan, folder).items() if name.startswith("engine-")}


def with_engine(plan: p.Plan, **changes: Any) -> p.Plan:
    workloads = tuple(
        one.model_copy(update={"engine": one.engine.model_copy(update=changes)}) for one in plan.workloads
    )
    return plan.model_copy(update={"workloads": workloads})


@pytest.mark.parametrize("target", ["compose", "spheron"])
def test_every_pool_has_a_folder_of_its_own_the_burst_s_too(target: Any) -> None:
    plan = make_machines_plan(target)
    files = rendered_once(plan)
    assert files == rendered_once(make_machines_plan(target))
    assert [file.path for file in files] == sorted(file.path for file in files)
    assert {"/".join(file.path.split("/")[:2]) for file in files} == {BASELINE, BURST}


def test_engines_are_what_pods_are_in_a_cluster() -> None:
    workload = make_workload()
    found = engines(make_machines_plan())
    assert set(found) == {"engine-support-1", "engine-support-2"}
    for number, one in enumerate(found.values()):
        assert one["entrypoint"][-3:] == ["--", "vllm", "serve"]
        assert one["command"] == list(workload.engine.args)
        assert one["image"] == workload.engine.image
        assert (one["cpus"], one["mem_limit"], one["shm_size"]) == (3.0, "24576m", "1024m")
        assert one["user"] == "2000:2000"
        assert (one["cap_drop"], one["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        assert one["environment"]["VLLM_CACHE_ROOT"] == "/var/cache/engine/vllm"
        (device,) = one["deploy"]["resources"]["reservations"]["devices"]
        assert device == {"driver": "nvidia", "capabilities": ["gpu"], "device_ids": [str(number)]}
        assert one["ports"] == [f"127.0.0.1:{20000 + number}:8000"]
        assert (one["restart"], one["stop_grace_period"]) == ("unless-stopped", "60s")
        check = one["healthcheck"]
        assert (check["interval"], check["retries"], check["start_period"]) == ("10s", 3, "600s")
        assert "http://127.0.0.1:8000/health" in check["test"][-1]


def test_engines_that_share_an_accelerator_use_the_same_one() -> None:
    plan = make_machines_plan()
    host = plan.hosts[0]
    shared = tuple(one.model_copy(update={"accelerators": (0,)}) for one in host.engines)
    found = engines(plan.model_copy(update={"hosts": (host.model_copy(update={"engines": shared}),)}))
    ids = [one["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] for one in found.values()]
    assert ids == [["0"], ["0"]]


def test_engines_start_once_the_verified_marker_of_their_model_is_there() -> None:
    found = services(make_machines_plan())
    for one in (found["engine-support-1"], found["engine-support-2"]):
        assert one["depends_on"] == {"wait-support": {"condition": "service_completed_successfully"}}
    wait, fill = found["wait-support"], found["model-cache"]
    assert wait["entrypoint"][2:6] == ["wait", "--root=/models", "--model", "qwen--qwen3-8b--main"]
    assert wait["network_mode"] == "none"
    assert fill["entrypoint"][2:4] == ["fill", "--root=/models"]
    for one in (wait, fill):
        assert one["depends_on"] == {"folders": {"condition": "service_completed_successfully"}}
        assert {"./model_cache.py", "./models.json"} <= {volume["source"] for volume in one["volumes"]}
    (model,) = json.loads(texts(make_machines_plan())[f"{BASELINE}/models.json"])["models"]
    assert (model["name"], model["revision"]) == ("Qwen/Qwen3-8B", "main")


def test_a_cache_that_its_owner_fills_has_no_filler() -> None:
    plan = make_machines_plan()
    pools = tuple(pool.model_copy(update={"filler": None}) for pool in plan.node_pools)
    found = services(plan.model_copy(update={"node_pools": pools}))
    assert "model-cache" not in found
    assert "wait-support" in found


@pytest.mark.parametrize("folder", [BASELINE, BURST])
def test_nothing_is_published_beyond_the_loopback(folder: str) -> None:
    """What Docker publishes elsewhere is not held up by the firewall; what uses the machine's own network is."""
    found = services(make_machines_plan(), folder)
    published = [port for one in found.values() for port in one.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len({port.split(":")[1] for port in published}) == len(published)
    on_the_machine = {name for name, one in found.items() if one.get("network_mode") == "host"}
    assert on_the_machine == {"nginx", "nginx-exporter", "prometheus"}
    assert "--web.listen-address=127.0.0.1:9113" in found["nginx-exporter"]["command"]
    assert "--web.listen-address=127.0.0.1:9090" in found["prometheus"]["command"]


def test_every_folder_and_volume_that_is_mounted_is_there() -> None:
    for folder in (BASELINE, BURST):
        made = texts(make_machines_plan())
        document = yaml.safe_load(made[f"{folder}/docker-compose.yaml"])
        mounts = [one for service in document["services"].values() for one in service.get("volumes", ())]
        for mount in mounts:
            if mount["type"] == "volume":
                assert mount["source"] in document["volumes"]
            elif mount["source"].startswith("./"):
                assert f"{folder}/{mount['source'][2:]}" in made
            else:
                assert mount["source"] in ("/var/lib/agentgpu/models", "/etc/agentgpu/tls")


def test_secrets_are_named_and_never_written() -> None:
    plan = make_machines_plan(api_key="caller-key")
    made = texts(plan)
    for one in engines(plan).values():
        assert one["environment"]["VLLM_API_KEY"] == "${VLLM_API_KEY:?put it into /etc/agentgpu/secrets.env}"
    assert 'AGENTGPU_SECRETS="VLLM_API_KEY"' in made[f"{BASELINE}/machine.env"]
    others = [name for name in services(plan) if not name.startswith("engine-")]
    assert not any("VLLM_API_KEY" in json.dumps(services(plan)[name]) for name in others)


def test_an_argument_may_stand_for_a_secret_and_any_other_dollar_stands_for_itself() -> None:
    plan = with_engine(make_machines_plan(api_key="k"), args=("--api-key", "$(VLLM_API_KEY)", "--price", "5$ {x}"))
    one = engines(plan)["engine-support-1"]
    reference = "${VLLM_API_KEY:?put it into /etc/agentgpu/secrets.env}"
    assert one["command"] == ["--api-key", reference, "--price", "5$$ {x}"]


def test_a_token_goes_to_the_filler_alone() -> None:
    plan = make_machines_plan()
    gated = tuple(
        pool.model_copy(
            update={
                "cached_models": tuple(one.model_copy(update={"token_secret": "hub"}) for one in pool.cached_models)
            }
        )
        for pool in plan.node_pools
    )
    found = services(plan.model_copy(update={"node_pools": gated}))
    holders = [name for name, one in found.items() if "MODEL_TOKEN_1" in one.get("environment", {})]
    assert holders == ["model-cache"]


def test_files_that_an_engine_reads_are_mounted_and_change_its_label() -> None:
    def labels(content: str) -> dict[str, str]:
        plan = with_engine(make_machines_plan(), files=(p.EngineFile(name="options.yaml", content=content),))
        assert texts(plan)[f"{BASELINE}/engine/support/options.yaml"] == content
        one = engines(plan)["engine-support-1"]
        assert {"./engine/support/options.yaml": "/etc/engine/options.yaml"}.items() <= {
            mount["source"]: mount["target"] for mount in one["volumes"]
        }.items()
        found: dict[str, str] = one["labels"]
        return found

    assert labels("a: 1\n") != labels("a: 2\n")


def test_nginx_knows_the_machine_s_engines_and_speaks_tls_to_callers() -> None:
    conf = texts(make_machines_plan())[f"{BASELINE}/nginx.conf"]
    assert re.findall(r"server (127\.0\.0\.1:\d+) max_fails=0;", conf) == ["127.0.0.1:20000", "127.0.0.1:20001"]
    assert re.findall(r"listen (\S+) ssl", conf) == ["0.0.0.0:10000", "[::]:10000"]
    assert "ssl_certificate /etc/nginx/tls/tls.crt;" in conf
    assert re.findall(r"listen (\S+);", conf) == ["127.0.0.1:9080", "127.0.0.1:9081"]
    assert "proxy_next_upstream_tries 2;" in conf
    assert "resolve" not in conf
    mounts = {one["source"]: one for one in services(make_machines_plan())["nginx"]["volumes"]}
    assert mounts["/etc/agentgpu/tls"]["read_only"] is True


def test_without_callers_nginx_speaks_plain_http_on_the_loopback() -> None:
    plan = make_machines_plan(callers=())
    conf = texts(plan)[f"{BASELINE}/nginx.conf"]
    assert re.findall(r"listen (\S+) backlog", conf) == ["127.0.0.1:10000"]
    assert "ssl" not in conf
    assert "/etc/agentgpu/tls" not in json.dumps(services(plan))
    assert "AGENTGPU_TLS=no" in texts(plan)[f"{BASELINE}/machine.env"]


def test_a_changed_configuration_starts_nginx_anew() -> None:
    found = {
        services(make_machines_plan(callers=callers))["nginx"]["labels"]["agentgpu.dev/content-sha256"]
        for callers in ((), ("10.0.0.0/8",))
    }
    assert len(found) == 2


def test_the_firewall_lets_in_who_is_named() -> None:
    rules = texts(make_machines_plan())[f"{BASELINE}/firewall.nft"]
    accepted = [
        line.strip() for line in rules.splitlines() if "dport" in line and "saddr" in line and "546" not in line
    ]
    assert accepted == [
        "ip saddr 203.0.113.7/32 tcp dport 22 accept",
        "ip saddr 10.0.0.0/8 tcp dport { 10000 } accept",
        "ip6 saddr 2001:db8::/32 tcp dport { 10000 } accept",
    ]
    assert rules.count("policy drop;") == 1
    alone = texts(make_machines_plan(callers=(), admins=()))[f"{BASELINE}/firewall.nft"]
    assert "dport 22" not in alone
    assert "10000" not in alone


def test_prometheus_asks_every_engine_and_the_accelerators() -> None:
    config = yaml.safe_load(texts(make_machines_plan())[f"{BASELINE}/prometheus.yml"])
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert targets == {
        "support-1": ["127.0.0.1:20000"],
        "support-2": ["127.0.0.1:20001"],
        "router": ["127.0.0.1:9113"],
        "accelerators": ["127.0.0.1:9400"],
    }
    labels = config["scrape_configs"][0]["static_configs"][0]["labels"]
    assert labels == {
        "agentgpu_dev_stack": "demo",
        "agentgpu_dev_agent": "support",
        "agentgpu_dev_tier": "baseline",
        "namespace": "demo",
        "pod": "support-1",
    }
    assert config["rule_files"] is None
    dcgm = services(make_machines_plan())["dcgm-exporter"]
    assert dcgm["deploy"]["resources"]["reservations"]["devices"][0]["count"] == "all"


def test_a_machine_has_the_rules_the_dashboard_and_on_request_grafana() -> None:
    plain = make_machines_plan(observability={"cluster": "attic"})
    made, found = texts(plain), services(plain)
    assert yaml.safe_load(made[f"{BASELINE}/prometheus.yml"])["rule_files"] == ["/etc/prometheus/rules.yml"]
    assert yaml.safe_load(made[f"{BASELINE}/prometheus.yml"])["global"]["external_labels"]["cluster"] == "attic"
    mounted = {volume["source"]: volume["target"] for volume in found["prometheus"]["volumes"]}
    assert mounted["./rules.yml"] == "/etc/prometheus/rules.yml"
    assert json.loads(made[f"{BASELINE}/dashboard.json"])["panels"]
    assert "dashboard.json" not in made[f"{BASELINE}/cloud-init.yaml"], "no Grafana of the machine would read it"
    assert "grafana" not in found
    changed = plain.model_copy(
        update={"watching": plain.watching.model_copy(update={"alerts": plain.watching.alerts[:1]})}
    )
    digest = "agentgpu.dev/content-sha256"
    assert services(changed)["prometheus"]["labels"][digest] != found["prometheus"]["labels"][digest]

    with_grafana = make_machines_plan(observability={"grafana": True})
    grafana, made = services(with_grafana)["grafana"], texts(with_grafana)
    assert (grafana["network_mode"], grafana["environment"]["GF_SERVER_HTTP_ADDR"]) == ("host", "127.0.0.1")
    assert (grafana["user"], grafana["read_only"]) == ("472:0", True)
    places = {volume["target"]: volume["source"] for volume in grafana["volumes"] if volume["type"] == "bind"}
    for target, source in places.items():
        assert f"{BASELINE}/{source.removeprefix('./')}" in made, target
    (provider,) = yaml.safe_load(made[f"{BASELINE}/grafana-dashboards.yaml"])["providers"]
    assert f"{provider['options']['path']}/dashboard.json" in places
    (source,) = yaml.safe_load(made[f"{BASELINE}/grafana-datasource.yaml"])["datasources"]
    assert source["url"] == "http://127.0.0.1:9090"


def test_a_machine_counts_the_replicas_that_it_runs_itself() -> None:
    """The burst machine has two engines of an agent whose baseline stands elsewhere."""
    plan = make_machines_plan(observability={})
    for folder, host in zip((BASELINE, BURST), plan.hosts, strict=True):
        groups = yaml.safe_load(texts(plan)[f"{folder}/rules.yml"])["groups"]
        rules = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
        assert rules["AgentReplicasBelowPlan"].endswith(f" < {len(host.engines)}")
        assert not any("kube_" in expression for expression in rules.values())


def test_without_monitors_nothing_watches() -> None:
    plan = make_machines_plan()
    hosts = tuple(one.model_copy(update={"prometheus": None, "dcgm_exporter": None}) for one in plan.hosts)
    unwatched = plan.model_copy(update={"hosts": hosts})
    assert {"prometheus", "dcgm-exporter"}.isdisjoint(services(unwatched))
    assert f"{BASELINE}/prometheus.yml" not in texts(unwatched)


def test_ollama_is_a_profile_for_a_developer_s_machine_alone() -> None:
    ollama = services(make_machines_plan())["ollama"]
    assert ollama["profiles"] == ["local"]
    assert "deploy" not in ollama
    assert "ollama" not in services(make_machines_plan("spheron"))
    assert all("profiles" not in one for name, one in services(make_machines_plan()).items() if name != "ollama")


def test_ollama_serves_tags_under_the_agents_names(tmp_path: Path) -> None:
    script = services(make_machines_plan())["ollama"]["entrypoint"][-1].replace("$$", "$")
    said = tmp_path / "said"
    program = tmp_path / "ollama"
    program.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.defpath}", "AGENTGPU_LOCAL_MODELS": "support=qwen3:8b router=qwen3:0.6b"}
    subprocess.run(["/bin/sh", "-c", script], env=environment, check=True, timeout=60)
    assert [line for line in said.read_text().splitlines() if line.split()[0] in ("pull", "cp")] == [
        "pull qwen3:8b",
        "cp qwen3:8b support",
        "pull qwen3:0.6b",
        "cp qwen3:0.6b router",
    ]


def test_every_kernel_setting_says_why() -> None:
    lines = texts(make_machines_plan())[f"{BASELINE}/sysctl.conf"].splitlines()[2:]
    assert len(lines) % 2 == 0
    for reason, setting in zip(lines[::2], lines[1::2], strict=True):
        assert reason.startswith("# ")
        assert re.fullmatch(r"[a-z0-9_.]+ = \d+", setting)


SESSION = """case "$*" in
*established*) echo '0 0 10.0.0.5:22 203.0.113.9:51000 users:(("sshd",pid=7,fd=4))' ;;
*listening*) echo 'LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))' ;;
esac"""
STUBS = (
    *("systemctl", "nft", "sysctl", "apt-get", "apt-cache", "nvidia-smi", "nvidia-ctk", "mdadm", "mkfs.ext4", "mount"),
    *("findmnt", "udevadm", "ss", "sshd", "who", "apt-mark", "dpkg-query"),
    *("chown", "install", "docker", "blkid", "lsblk", "curl", "gpg", "openssl", "hostname", "mountpoint", "id"),
    *("wipefs", "blockdev"),
)
ANSWERS = {
    "id": "echo 0",
    "hostname": "echo 192.0.2.1",
    "docker": 'case "$1" in info) echo "{}";; ps) echo abc;; esac',
    "ss": SESSION,
    "sshd": "echo port 22",
    "dpkg-query": "printf '%s %s\\n' ii nvidia-driver-570-server ii libnvidia-compute-570-server ii curl rc nvidia-dkms-470",
    "mountpoint": "exit 1",
    "blkid": "exit 2",
}


def set_up(
    tmp_path: Path,
    *words: str,
    plan: p.Plan | None = None,
    swaps: Any = (),
    options: tuple[str, ...] = ("--yes",),
    variables: Any = (),
    **answers: str,
) -> tuple[int, list[str], str]:
    """Run the setup script with its paths below a folder, and programs that only write down how they were called."""
    here, programs = tmp_path / "agentgpu", tmp_path / "programs"
    here.mkdir(exist_ok=True)
    programs.mkdir(exist_ok=True)
    calls = tmp_path / "calls"
    for name in STUBS:
        answer = {**ANSWERS, **answers}.get(name, "")
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {calls}\n{answer}\n')
        (programs / name).chmod(0o755)
    (here / "machine.env").write_text(texts(plan or make_machines_plan())[f"{BASELINE}/machine.env"])
    for unit in ("agentgpu.service", "agentgpu-health.timer"):
        (here / unit).write_text("")
    secrets, tls = tmp_path / "secrets.env", tmp_path / "tls"
    secrets.write_text("")
    tls.mkdir(exist_ok=True)
    (tls / "tls.key").write_text("")
    text = (
        verbatim("setup.sh").replace("/etc/agentgpu/secrets.env", str(secrets)).replace("/etc/agentgpu/tls", str(tls))
    )
    rules = tmp_path / "firewall.d"
    rules.mkdir(exist_ok=True)
    text = text.replace("RULES=/etc/agentgpu/firewall.d", f"RULES={rules}").replace("=/run/", f"={tmp_path}/")
    for old, new in swaps:
        assert old in text
        text = text.replace(old, new)
    script = here / "setup.sh"
    script.write_text(text.replace("HERE=/opt/agentgpu", f"HERE={here}"))
    environment = {"PATH": f"{programs}:{os.defpath}", **dict(variables)}
    ran = subprocess.run(
        ["bash", str(script), *options, *words],
        stdin=subprocess.DEVNULL,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    called = calls.read_text().splitlines() if calls.exists() else []
    return ran.returncode, called, ran.stdout + ran.stderr


def test_setup_closes_the_machine_before_anything_else_is_done(tmp_path: Path) -> None:
    code, called, said = set_up(tmp_path)
    assert code == 0, said
    firewall = next(index for index, call in enumerate(called) if call.startswith("nft -f"))
    assert called[firewall - 2].startswith("nft --check"), called
    started = called.index("systemctl restart --no-block agentgpu.service")
    assert not any(call.startswith(("docker", "apt-get", "nvidia")) for call in called[:firewall])
    assert any(call.startswith("openssl req -x509") for call in called[firewall:started])
    assert "nvidia-ctk runtime configure --runtime=docker" in called[firewall:started]


def test_setup_without_a_driver_says_so(tmp_path: Path) -> None:
    script = tmp_path / "programs" / "nvidia-smi"
    set_up(tmp_path)
    code, _, said = set_up(tmp_path, "everything", **{"nvidia-smi": ""})
    assert code == 0
    script.unlink()
    text = (tmp_path / "agentgpu" / "setup.sh").read_text()
    ran = subprocess.run(
        ["bash", "-c", text, "setup"],
        env={"PATH": f"{script.parent}:{os.defpath}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "the NVIDIA driver is missing" in ran.stderr, said


def test_a_package_list_that_cannot_be_read_keeps_no_package_away(tmp_path: Path) -> None:
    has_compose = f'compose) grep --quiet "install docker-compose-v2" {tmp_path}/calls;;'
    answers = {
        "apt-get": 'case "$*" in *update) exit 100;; esac',
        "docker": f'case "$1" in info) echo "{{}}";; {has_compose} esac',
    }
    code, called, said = set_up(tmp_path, **answers)
    assert code == 0, said
    assert "not every package list could be read" in said
    assert sum("install docker-compose-v2" in call for call in called) == 1


def test_kernel_settings_of_others_cannot_stop_the_setup(tmp_path: Path) -> None:
    code, called, said = set_up(tmp_path, sysctl='case "$*" in *--system*) exit 1;; esac')
    assert code == 0, said
    assert "sysctl --quiet --load=/etc/sysctl.d/90-agentgpu.conf" in called


def test_setup_says_which_secrets_are_missing(tmp_path: Path) -> None:
    code, _, said = set_up(tmp_path, plan=make_machines_plan(api_key="k"))
    assert code == 0
    assert "lacks VLLM_API_KEY: nothing starts without it" in said


def test_every_compose_command_finds_the_secrets_and_nobody_else_may_read_them(tmp_path: Path) -> None:
    assert set_up(tmp_path)[0] == 0
    assert (tmp_path / "agentgpu" / ".env").resolve() == tmp_path / "secrets.env"
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("listed", "installs"),
    [
        ("pub:x fpr:C95B321B61E88C1809C4F759DDCAE044F796ECB0 sub:x fpr:1111", True),
        ("pub:x fpr:0000321B61E88C1809C4F759DDCAE044F796ECB0", False),
        ("pub:x fpr:C95B321B61E88C1809C4F759DDCAE044F796ECB0 pub:x fpr:2222", False),
        ("", False),
    ],
)
def test_the_toolkit_s_packages_are_signed_by_nvidia_s_own_key(tmp_path: Path, listed: str, installs: bool) -> None:
    lines = "; ".join(
        f"echo {each.replace(':', ':::::::::' if each.startswith('fpr') else ':')}" for each in listed.split()
    )
    answers = {
        "apt-cache": "exit 1",
        "gpg": f'case "$1" in --show-keys) {lines or ":"};; *) cat > {tmp_path}/key;; esac',
    }
    plain = ((">/etc/apt/sources.list.d/", f">{tmp_path}/"), ("command -v nvidia-ctk >/dev/null", "false"))
    code, called, said = set_up(tmp_path, swaps=plain, **answers)
    assert (tmp_path / "nvidia-container-toolkit.list").exists() is installs, said
    assert any(call.startswith("gpg --yes --dearmor") for call in called) is installs
    assert (code == 0) is installs
    assert ("nothing is installed with it" in said) is not installs


def test_only_disks_that_hold_nothing_are_joined(tmp_path: Path) -> None:
    """One is blank, one has a partition, one a file system, one is mounted, one more is blank, and one blkid cannot tell."""
    plan = make_machines_plan()
    joined = tuple(one.model_copy(update={"disks_are_joined": True}) for one in plan.hosts)
    for disk in ("nvme0n1", "nvme1n1", "nvme2n1", "nvme3n1", "nvme4n1", "nvme5n1"):
        with (tmp_path / disk).open("wb") as file:
            file.truncate(2 * 2**20)
    answers = {
        "lsblk": 'echo disk; case "$*" in *nvme1n1) echo partition;; esac',
        "blkid": 'case "$*" in *nvme2n1) ;; *nvme5n1) exit 8;; *) exit 2;; esac',
        "blockdev": 'stat --format=%s "$2"',
        "findmnt": 'case "$*" in *nvme3n1) ;; *) exit 1;; esac',
    }
    swaps = (("/dev/nvme", f"{tmp_path}/nvme"), ('[ -b "$disk" ]', '[ -e "$disk" ]'), ("mkdir --parents", "true"))
    code, called, said = set_up(
        tmp_path, "disks", plan=plan.model_copy(update={"hosts": joined}), swaps=swaps, **answers
    )
    assert code == 0, said
    (made,) = (call for call in called if call.startswith("mdadm --create"))
    assert made.endswith(f"--level=0 --raid-devices=2 {tmp_path}/nvme0n1 {tmp_path}/nvme4n1")
    assert f"{tmp_path}/nvme5n1 holds signatures of several file systems, and is left alone" in said
    assert [call.split()[-1] for call in called if call.startswith("mkfs.ext4")] == ["/dev/md/agentgpu"]
    assert called[-1] == "mount -o noatime,discard /dev/md/agentgpu /var/lib/agentgpu"


def test_an_array_that_is_late_at_boot_is_put_together_and_not_made_again(tmp_path: Path) -> None:
    """Its label is found only once mdadm has put it together; its members are disks that hold something."""
    plan = make_machines_plan()
    joined = tuple(one.model_copy(update={"disks_are_joined": True}) for one in plan.hosts)
    together = (
        f'case "$*" in *label*) grep --quiet "mdadm --assemble --scan" {tmp_path}/calls && echo /dev/md127;; esac'
    )
    code, called, said = set_up(
        tmp_path,
        "disks",
        plan=plan.model_copy(update={"hosts": joined}),
        swaps=(("mkdir --parents", "true"),),
        blkid=together,
        mdadm="exit 1",
    )
    assert code == 0, said
    assert not [call for call in called if call.startswith(("mdadm --create", "mkfs"))]
    assert called[-1] == "mount -o noatime,discard /dev/md127 /var/lib/agentgpu"


def test_disks_are_left_alone_where_the_plan_does_not_count_on_them(tmp_path: Path) -> None:
    plan = make_machines_plan()
    apart = tuple(one.model_copy(update={"disks_are_joined": False}) for one in plan.hosts)
    assert set_up(tmp_path, "disks", plan=plan.model_copy(update={"hosts": apart})) == (0, [], "")


def test_unhealthy_engines_are_started_anew(tmp_path: Path) -> None:
    code, called, _ = set_up(tmp_path, "health")
    assert code == 0
    assert called == [
        "docker ps --quiet --filter health=unhealthy --filter label=agentgpu.dev/agent",
        "docker restart abc",
        "docker ps --quiet --filter health=unhealthy --filter label=agentgpu.dev/proxy",
        "docker restart abc",
    ]
    assert set_up(tmp_path, "health", docker="")[1][-1].startswith("docker ps")


def admins(tmp_path: Path) -> list[str]:
    lines = (tmp_path / "firewall.d" / "admins.nft").read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_whoever_is_logged_in_can_log_in_again(tmp_path: Path) -> None:
    code, _, said = set_up(tmp_path, plan=make_machines_plan(admins=()))
    assert code == 0, said
    assert admins(tmp_path) == ["ip saddr 203.0.113.9 tcp dport 22 accept"]
    assert "203.0.113.9 is logged in and stays able to" in said
    assert f'include "{paths.FIREWALL_RULES_FOLDER}/*.nft"' in texts(make_machines_plan())[f"{BASELINE}/firewall.nft"]


def test_what_other_containers_ask_of_the_machine_passes_and_the_network_does_not(tmp_path: Path) -> None:
    interfaces = tmp_path / "net"
    for name in ("lo", "eth0", "br-ex", "br-lan", "docker0", "br-0123456789ab", "virbr0", "agentgpu0"):
        (interfaces / name).mkdir(parents=True)
    code, _, said = set_up(tmp_path, swaps=[("INTERFACES=/sys/class/net", f"INTERFACES={interfaces}")])
    assert code == 0, said
    lines = (tmp_path / "firewall.d" / "neighbours.nft").read_text().splitlines()[1:]
    assert lines == [f'iifname "{name}" accept' for name in ("br-0123456789ab", "docker0", "virbr0")]


def test_a_session_by_ipv6_on_another_port_is_kept_and_ranges_hold_there_too(tmp_path: Path) -> None:
    code, _, said = set_up(
        tmp_path, plan=make_machines_plan(admins=("198.51.100.0/24",)), options=("--yes", "--admin-range", "10.1.0.0/16"),
        variables=(("SSH_CONNECTION", "2001:db8::7 50000 2001:db8::1 2222"),), ss="", sshd="echo port 2222",
    )  # fmt: skip
    assert code == 0, said
    assert admins(tmp_path) == [
        "ip saddr 10.1.0.0/16 tcp dport 22 accept",
        "ip saddr 10.1.0.0/16 tcp dport 2222 accept",
        "ip saddr 198.51.100.0/24 tcp dport 2222 accept",
        "ip6 saddr 2001:db8::7 tcp dport 2222 accept",
    ]


def test_docker_is_not_restarted_unasked_beside_containers_of_others(tmp_path: Path) -> None:
    code, called, said = set_up(tmp_path, options=())
    assert code == 1
    assert "Docker is restarted to learn of the accelerators, and with it: abc: run it again with --yes" in said
    assert "systemctl restart docker" not in called
    code, called, said = set_up(tmp_path, options=(), docker='case "$1" in info) echo "{}";; esac')
    assert (code, "systemctl restart docker" in called) == (0, True), said


def test_ports_of_other_programs_are_not_closed_unasked(tmp_path: Path) -> None:
    web = (
        """case "$*" in *listening*) echo 'LISTEN 0 511 0.0.0.0:443 0.0.0.0:* users:(("apache2",pid=9,fd=4))';; esac"""
    )
    code, called, said = set_up(tmp_path, options=(), ss=web)
    assert (code, "these ports are closed to the network: 443 (apache2)" in said) == (1, True)
    assert not any(call.startswith("nft") for call in called)


def test_the_driver_s_packages_stay_as_they_are(tmp_path: Path) -> None:
    _, called, _ = set_up(tmp_path)
    assert "apt-mark hold libnvidia-compute-570-server nvidia-driver-570-server" in called
    held = "echo libnvidia-compute-570-server; echo nvidia-driver-570-server"
    _, again, _ = (
        set_up(tmp_path / "again", **{"apt-mark": held}) if (tmp_path / "again").mkdir() is None else (0, [], "")
    )
    assert not any(call.startswith("apt-mark hold") for call in again)


READS = re.compile(
    r"id|ss|sshd|docker (info|ps|compose version)|nvidia-smi|mountpoint|blkid|wipefs --no-act|blockdev|lsblk|findmnt|"
    r"dpkg-query|hostname|apt-mark showhold|$"
)


def test_a_dry_run_says_everything_and_changes_nothing(tmp_path: Path) -> None:
    set_up(tmp_path)
    (tmp_path / "calls").unlink()
    (tmp_path / "firewall.d" / "admins.nft").unlink()
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if "programs" not in path.parts}
    code, called, said = set_up(tmp_path, options=("--dry-run",))
    assert code == 0, said
    assert [call for call in called if not READS.match(call)] == []
    assert not (tmp_path / "firewall.d" / "admins.nft").exists()
    assert {path for path in tmp_path.rglob("*") if "programs" not in path.parts} - {tmp_path / "calls"} == set(before)
    for step in ("would run: nft -f", "would ask: Docker is restarted", "would run: systemctl restart docker",
                 "would write ", "203.0.113.9 tcp dport 22 accept", "nothing was changed"):  # fmt: skip
        assert step in said


def test_running_it_again_changes_nothing_more(tmp_path: Path) -> None:
    runtimes = """case "$1" in info) echo '{"nvidia":{}}';; ps) echo abc;; esac"""
    set_up(tmp_path)
    first = admins(tmp_path)
    code, called, said = set_up(tmp_path, options=(), docker=runtimes)
    assert code == 0, said
    assert admins(tmp_path) == first
    assert called.count("systemctl restart docker") == 1


def test_other_networks_of_the_machine_keep_their_traffic() -> None:
    rules = texts(make_machines_plan())[f"{BASELINE}/firewall.nft"]
    forward = rules[rules.index("chain forward") :]
    assert "policy accept;" in forward
    ours = re.findall(r"^ +(.*(?:drop|accept|jump outward))$", forward[: forward.index("}\n\n")], re.MULTILINE)
    assert ours == [
        "ct state established,related accept",
        'iifname "agentgpu0" oifname "agentgpu0" accept',
        'iifname "agentgpu0" drop',
        'iifname "agentgpu1" jump outward',
        'oifname { "agentgpu0", "agentgpu1" } drop',
    ]


def test_a_word_that_setup_does_not_know_is_refused(tmp_path: Path) -> None:
    assert set_up(tmp_path, "dance")[0] == 1
