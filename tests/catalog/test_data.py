"""The data files: every row sourced, unique, plausible and referring to rows that exist."""

import csv
import json
import re
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import get_args

import pytest

from agentgpu_iac.catalog.packaged import FILES, packaged_rows
from agentgpu_iac.catalog.store import catalog_of
from agentgpu_iac.spec.model import KubernetesVersion
from agentgpu_iac.spec.vocabulary import CAPACITY_TYPES

ROWS = packaged_rows()
DATA = resources.files("agentgpu_iac.catalog") / "data"
JSON_FILES = [name for name in FILES if name.endswith(".json")]

KEYS = {
    "accelerators": lambda row: row.id,
    "instance_types": lambda row: (row.provider, row.name),
    "gpu_aliases": lambda row: (row.provider, row.gpu, row.instance_type),
    "prices": lambda row: (
        row.provider,
        row.instance_type,
        row.region,
        row.zone,
        row.capacity_type,
        row.usd_per_hour,
        row.date,
        row.term,
    ),
    "models": lambda row: row.id.casefold(),
    "releases": lambda row: (row.engine, row.version),
    "providers": lambda row: row.id,
    "routers": lambda row: (row.router, row.version),
    "services": lambda row: (row.service, row.version),
    "skypilot_names": lambda row: (row.provider, row.accelerator),
    "parsers": lambda row: (row.engine, row.version),
    "thinking": lambda row: row.id,
    "engine_options": lambda row: (row.engine, row.option, row.since),
    "quantisation_methods": lambda row: (row.engine, row.method),
    "repacks": lambda row: (row.precision, row.name, row.architectures),
    "volumes": lambda row: row.id,
    "kernels": lambda row: (row.accelerator, row.engine),
    "kubernetes": lambda row: (row.target, row.version),
    "charges": lambda row: (row.provider, row.id),
    "token_prices": lambda row: (row.model.casefold(), row.seller, row.via),
    "quotas": lambda row: (row.provider, row.capacity_type, row.code),
    "system_machines": lambda row: (row.provider, row.name),
    "cluster_pods": lambda row: row.name,
}


@pytest.mark.parametrize("table", KEYS)
def test_rows_are_known_by_one_key(table):
    counts = Counter(KEYS[table](row) for row in getattr(ROWS, table))
    assert [key for key, count in counts.items() if count > 1] == []


def test_nothing_was_lost():
    assert {table: len(getattr(ROWS, table)) for table in KEYS} == {
        "accelerators": 29,
        "instance_types": 267,
        "gpu_aliases": 29,
        "prices": 2487,
        "models": 167,
        "releases": 12,
        "providers": 10,
        "routers": 2,
        "services": 6,
        "skypilot_names": 35,
        "parsers": 3,
        "thinking": 33,
        "engine_options": 18,
        "quantisation_methods": 38,
        "repacks": 24,
        "volumes": 2,
        "kernels": 27,
        "kubernetes": 4,
        "charges": 6,
        "token_prices": 231,
        "quotas": 5,
        "system_machines": 20,
        "cluster_pods": 12,
    }


@pytest.mark.parametrize(
    "table",
    [
        "accelerators",
        "instance_types",
        "models",
        "releases",
        "parsers",
        "providers",
        "routers",
        "services",
        "volumes",
        "kernels",
        "kubernetes",
        "quotas",
        "charges",
        "system_machines",
        "cluster_pods",
        "engine_facts",
        "engine_versions",
        "gates",
        "engine_options",
        "quantisation_methods",
        "repacks",
        "thinking",
    ],
)
def test_every_row_names_its_sources(table):
    assert all(row.sources and all(source.strip() for source in row.sources) for row in getattr(ROWS, table))


def test_every_price_names_its_source():
    assert all(row.source.strip() for row in ROWS.prices)


@pytest.mark.parametrize("name", JSON_FILES)
def test_one_row_per_line(name):
    lines = (DATA / name).read_text().splitlines()
    assert (lines[0], lines[-1]) == ("[", "]")
    assert all(isinstance(json.loads(line.rstrip(",")), dict) for line in lines[1:-1])


@pytest.mark.parametrize("name", FILES)
def test_rows_are_sorted(name):
    by_version = lambda row: (row["engine"], [int(part) for part in row["version"].split(".")])  # noqa: E731
    orders = {
        **{one: by_version for one in FILES if one.startswith("engines/")},
        "accelerators.json": lambda row: row["id"],
        "engine_host_memory.json": by_version,
        "engine_limits.json": lambda row: (row["engine"], [int(p) for p in row["version"].split(".")], row["setting"]),
        "engine_metrics.json": lambda row: (row["engine"], [int(part) for part in row["version"].split(".")]),
        "engine_versions.json": by_version,
        "gates.json": lambda row: row["repositories"][0].casefold(),
        "engine_options.json": lambda row: (
            row["engine"],
            row["option"],
            [int(part) for part in row["since"].split(".")],
        ),
        "engine_parsers.json": lambda row: (row["engine"], [int(part) for part in row["version"].split(".")]),
        "charges.json": lambda row: (row["provider"], row["id"]),
        "engines.json": lambda row: (row["engine"], [int(part) for part in row["version"].split(".")]),
        "gpu_aliases.json": lambda row: (row["provider"], row["gpu"], row.get("instanceType", "")),
        "instance_types.json": lambda row: (row["provider"], row["name"]),
        "kernels.json": lambda row: (row["accelerator"], row["engine"]),
        "kubernetes.json": lambda row: (row["target"], [int(part) for part in row["version"].split(".")]),
        "models.json": lambda row: row["id"].casefold(),
        "pooling_models.json": lambda row: row["id"].casefold(),
        "prices.csv": lambda row: [
            row[k] for k in ("provider", "instanceType", "region", "zone", "capacityType", "date")
        ],
        "providers.json": lambda row: row["id"],
        "quantisation_methods.json": lambda row: (row["engine"], row["method"]),
        "repacks.json": lambda row: (row["precision"], row["name"]),
        "quotas.json": lambda row: (row["provider"], row["capacityType"], row["code"]),
        "routers.json": lambda row: (row["router"], [int(part) for part in row["version"].split(".")]),
        "services.json": lambda row: (row["service"], [int(part) for part in row["version"].split(".")]),
        "shortcuts.json": lambda row: row["id"],
        "cluster_pods.json": lambda row: row["name"],
        "system_machines.json": lambda row: (row["provider"], row["name"]),
        "skypilot.json": lambda row: (row["provider"], row["accelerator"]),
        "thinking.json": lambda row: row["id"],
        "token_prices.csv": lambda row: (row["model"].casefold(), row["seller"], row["via"]),
        "volumes.json": lambda row: row["id"],
    }
    text = (DATA / name).read_text()
    rows = json.loads(text) if name.endswith(".json") else list(csv.DictReader(text.splitlines()))
    assert rows == sorted(rows, key=orders[name])


def test_accelerator_ids_are_their_names_in_lower_case_with_hyphens():
    assert all(row.id == row.name.lower().replace(" ", "-") for row in ROWS.accelerators)


def test_accelerators_are_plausible():
    for row in ROWS.accelerators:
        assert row.memory_gb > 0, row.id
        assert row.bandwidth_gb_per_s > 0, row.id
        assert re.fullmatch(r"\d+\.\d|gfx\d+", row.compute_capability), row.id
        if row.cuda_memory_gib is not None:
            assert 0.9 < row.cuda_memory_gib / row.memory_gb < 1.04, row.id
        if row.driver_memory_mib is not None and row.cuda_memory_gib is not None:
            assert 0.2 < row.driver_memory_mib / 1024 - row.cuda_memory_gib < 1, row.id


@pytest.mark.parametrize(
    ("accelerator", "cuda_memory_gib"),
    [
        ("h100-sxm", 79.18),
        ("h100-pcie", 79.18),
        ("a100-80gb-sxm", 79.14),
        ("a100-80gb-pcie", 79.14),
        ("a100-40gb-sxm", 39.38),
        ("l40s", 44.39),
        ("l4", 22.06),
        ("a10g", 22.06),
        ("rtx-4090", 23.55),
        ("rtx-5090", 31.4),
        ("h200-sxm", 139.81),
        ("b200-sxm", 178.6),
        ("rtx-pro-6000-blackwell-server", 94.97),
    ],
)
def test_memory_that_cuda_sees(accelerator, cuda_memory_gib):
    (row,) = (row for row in ROWS.accelerators if row.id == accelerator)
    assert row.cuda_memory_gib == cuda_memory_gib


def test_measured_and_vendor_throughput_stand_apart():
    (rtx_5090,) = (row for row in ROWS.accelerators if row.id == "rtx-5090")
    assert rtx_5090.vendor_dense_tflops.bf16 is None
    assert rtx_5090.measured_dense_tflops.bf16 == 254.03


def test_instance_types_are_plausible():
    for row in ROWS.instance_types:
        assert row.gpu_count > 0, row.name
        assert row.nvme_total_gb >= row.nvme_count, row.name
        assert (row.network_baseline_gbps or 0) <= (row.network_peak_gbps or 0), row.name
        assert (row.ebs_baseline_mbps or 0) <= (row.ebs_max_mbps or 0), row.name
        if row.allocatable_memory_mib is not None:
            assert row.allocatable_memory_mib < row.memory_gib * 1024, row.name
        if row.allocatable_cpu_milli is not None:
            assert row.allocatable_cpu_milli < row.vcpu * 1000, row.name


def test_disks_are_counted():
    disks = {row.name: (row.nvme_count, row.nvme_total_gb) for row in ROWS.instance_types}
    assert disks["g6e.8xlarge"] == (2, 900)
    assert disks["p5.48xlarge"] == (8, 30400)


def test_arm_machines_are_marked():
    assert {row.gpu for row in ROWS.instance_types if row.architecture == "arm64"} == {
        "GB200",
        "GB200 NVL72",
        "GH200",
        "GH200 96GB",
    }


def test_every_price_belongs_to_an_instance_type():
    machines = {(row.provider, row.name) for row in ROWS.instance_types}
    assert {(row.provider, row.instance_type) for row in ROWS.prices} <= machines


def test_prices_are_well_formed():
    for row in ROWS.prices:
        assert row.capacity_type in CAPACITY_TYPES
        assert 0 < row.usd_per_hour < 500
        assert re.fullmatch(r"(\d{4}-\d{2}(-\d{2})?)?", row.date), row
        assert bool(row.term) == (row.capacity_type == "reserved"), row
        assert not row.zone or row.capacity_type == "spot", row


STANDARD_ZONE = re.compile(r"[a-z]+\d-az\d+")
WITHOUT_A_USABLE_CARD = {"af-south-1", "eu-south-1", "me-south-1"}
"""Regions of AWS where nothing but T4 is sold."""


def test_aws_is_priced_in_all_of_its_regions():
    """23 of its regions, each with a price on demand; places away from them go by names of their own."""
    local = {zone.name for row in ROWS.providers for zone in row.local_zones}
    prices = [row for row in ROWS.prices if row.provider == "aws"]
    regions = {row.region for row in prices if row.capacity_type == "on-demand"} - local
    assert len(regions) == 23
    catalog = catalog_of(ROWS)
    usable = {row.region for row in catalog.offerings if row.provider == "aws"} - local
    assert regions - usable == WITHOUT_A_USABLE_CARD
    assert {("aws", region) for region in regions | local} <= catalog.places


def test_a_price_of_a_local_zone_is_none_of_its_region():
    local = {zone.name for row in ROWS.providers for zone in row.local_zones}
    zones = {row.zone: row.region for row in ROWS.prices if row.provider == "aws" and row.zone}
    assert {region for zone, region in zones.items() if not STANDARD_ZONE.fullmatch(zone)} == local
    assert not local & {region for zone, region in zones.items() if STANDARD_ZONE.fullmatch(zone)}


def test_every_token_price_is_of_a_model_of_the_catalog():
    models = {row.id for row in ROWS.models}
    assert {row.model for row in ROWS.token_prices} <= models
    for row in ROWS.token_prices:
        assert row.usd_per_million_cached is None or row.usd_per_million_cached <= row.usd_per_million_input, row


def test_every_provider_is_known():
    providers = {row.id for row in ROWS.providers}
    assert {row.provider for row in ROWS.instance_types} == providers
    assert {row.provider for row in ROWS.gpu_aliases} <= providers | {"*"}


def test_only_aws_documents_an_interruption_notice():
    assert {row.id: row.interruption_notice_s for row in ROWS.providers if row.interruption_notice_s} == {"aws": 120}


def test_skypilot_sells_each_accelerator_under_its_name_in_that_cloud():
    clouds = json.loads((Path(__file__).parent / "skypilot_accelerators.json").read_text())["clouds"]
    known = {row.id: row.skypilot_cloud for row in ROWS.providers if row.skypilot_cloud}
    assert {row.provider for row in ROWS.skypilot_names} == set(known)
    for row in ROWS.skypilot_names:
        assert known[row.provider] in {cloud.lower() for cloud in clouds[row.name]}, row


def test_what_a_cloud_of_skypilot_sells_has_a_name_there():
    """But for one, which SkyPilot's catalog does not have in that cloud."""
    known = {row.id for row in ROWS.providers if row.skypilot_cloud}
    offered = {(row.provider, row.accelerator) for row in catalog_of(ROWS).offerings}
    named = {(row.provider, row.accelerator) for row in ROWS.skypilot_names}
    unnamed = {pair for pair in offered if pair[0] in known} - named
    assert unnamed == {("aws", "rtx-pro-4500-blackwell-server")}


def test_aliases_name_accelerators_of_the_catalog():
    known = {row.id for row in ROWS.accelerators}
    assert {accelerator for row in ROWS.gpu_aliases for accelerator in row.accelerators} <= known


def test_aliases_that_name_nothing_say_why():
    assert all(row.note for row in ROWS.gpu_aliases if len(row.accelerators) != 1)


def test_models_are_plausible():
    for row in ROWS.models:
        if row.params_total and row.params_active:
            assert row.params_active <= row.params_total, row.id
        if row.checkpoint_bytes and row.params_total:
            assert 0.5 < row.checkpoint_bytes / row.params_total < 2.4, row.id
        assert bool(row.experts) == bool(row.experts_per_token), row.id


def test_releases_change_where_the_accounting_does():
    vllm = [row for row in ROWS.releases if row.engine == "vllm"]
    assert [(row.version, row.gpu_memory_utilization, row.graphs_in_budget) for row in vllm] == [
        ("0.8.0", 0.9, False),
        ("0.11.0", 0.9, False),
        ("0.17.0", 0.9, False),
        ("0.19.0", 0.9, False),
        ("0.20.0", 0.92, True),
        ("0.22.0", 0.92, True),
        ("0.33.0", 0.92, True),
    ]


def test_parsers_stand_in_alphabetical_order_and_counterparts_are_among_them():
    vllm = next(row for row in ROWS.parsers if row.engine == "vllm")
    for row in ROWS.parsers:
        for kind in ("tool_calls", "reasoning"):
            known, of_vllm = getattr(row, kind), getattr(vllm, kind)
            assert list(known.names) == sorted(set(known.names)), (row.engine, kind)
            pairs = known.of_vllm or ()
            assert {name for name, _ in pairs} <= set(of_vllm.names), (row.engine, kind)
            assert {name for _, name in pairs} <= set(known.names), (row.engine, kind)


def test_parsers_of_models_are_parsers_of_vllm():
    vllm = next(row for row in ROWS.parsers if row.engine == "vllm")
    assert {row.tool_call_parser for row in ROWS.models} - {None} <= set(vllm.tool_calls.names)
    assert {row.reasoning_parser for row in ROWS.models} - {None} <= set(vllm.reasoning.names)


def test_volumes_are_of_providers_that_are_known():
    assert {row.provider for row in ROWS.volumes} <= {row.id for row in ROWS.providers}


def test_a_stack_may_pin_the_versions_of_kubernetes_that_have_support_and_no_other():
    today = max(row.date for row in ROWS.kubernetes)
    supported = {row.version for row in ROWS.kubernetes if row.standard_support_ends >= today}
    assert set(get_args(KubernetesVersion)) == supported


def test_cards_that_are_one_part_with_an_arm_processor_are_sold_in_arm_machines():
    on_arm = {row.id for row in ROWS.accelerators if row.host_architecture == "arm64"}
    sold = {row.accelerator for row in catalog_of(ROWS).offerings if row.instance_type.architecture == "arm64"}
    assert sold == on_arm & {row.accelerator for row in catalog_of(ROWS).offerings}
    assert on_arm == {"gb200", "gb300", "gh200-96gb"}
