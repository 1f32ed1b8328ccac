"""A user's own rows on top of the catalog."""

from decimal import Decimal
from typing import get_args

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.spec.model import KubernetesVersion

HEAD = "apiVersion: agentgpu.dev/v1alpha1\nkind: CatalogOverlay\n"
VERSIONS = get_args(KubernetesVersion)
BASE = load_catalog()


@pytest.fixture
def catalog_with(tmp_path):
    def load(body, head=HEAD):
        path = tmp_path / "own.yaml"
        path.write_text(head + body)
        return load_catalog(path)

    return load


def faults_of(load, body, **options):
    with pytest.raises(BadInput) as caught:
        load(body, **options)
    return caught.value.faults


def offering(catalog, name, region, capacity_type):
    (found,) = (
        row
        for row in catalog.offerings
        if (row.instance_type.name, row.region, row.capacity_type) == (name, region, capacity_type)
    )
    return found


def test_a_private_accelerator_machine_and_price(catalog_with):
    catalog = catalog_with("""
accelerators:
  - {id: x1, name: X1, memoryGb: 64, bandwidthGbPerS: 1000, pcieGeneration: 5, computeCapability: "9.0", sources: [lab]}
providers:
  - {id: lab, name: Our lab, sources: [lab]}
instanceTypes:
  - {provider: lab, name: rack-1, gpu: x1, gpuCount: 4, sources: [lab]}
prices:
  - {provider: lab, instanceType: rack-1, region: cellar, capacityType: on-demand, usdPerHour: 1.10, source: lab}
""")
    own = offering(catalog, "rack-1", "cellar", "on-demand")
    assert (own.accelerator, own.accelerator_count, own.usd_per_hour) == ("x1", 4, Decimal("1.1"))
    assert catalog.accelerator("x1").memory_gb == 64
    assert len(catalog.offerings) == len(BASE.offerings) + 1


def test_a_private_model(catalog_with):
    catalog = catalog_with("""
models:
  - id: acme/Tuned
    family: acme
    paramsTotal: 1000000000
    layers: {full: 10}
    hiddenSize: 1024
    attentionHeads: 8
    kvHeads: 2
    headDim: 128
    vocabSize: 32000
    maxContextTokens: 8192
    intermediateSize: 4096
    nativePrecision: bf16
    sources: [us]
""")
    assert catalog.model("ACME/tuned").params_active == 10**9


def test_a_row_of_ours_is_replaced(catalog_with):
    catalog = catalog_with("providers:\n  - {id: azure, name: Azure, interruptionNoticeS: 30, sources: [read it]}\n")
    assert catalog.provider("azure").interruption_notice_s == 30
    assert len(catalog.providers) == len(BASE.providers)


def test_a_price_is_corrected(catalog_with):
    catalog = catalog_with("""
prices:
  - {provider: aws, instanceType: g6e.xlarge, region: us-east-1, capacityType: on-demand, usdPerHour: 1.5,
     date: "2020-01-01", source: our contract}
""")
    own = offering(catalog, "g6e.xlarge", "us-east-1", "on-demand")
    assert (own.usd_per_hour, own.price_date, own.price_source) == (Decimal("1.5"), "2020-01-01", "our contract")
    assert len(catalog.offerings) == len(BASE.offerings)


def test_reserved_capacity(catalog_with):
    catalog = catalog_with("""
prices:
  - {provider: aws, instanceType: p5en.48xlarge, region: us-east-2, capacityType: reserved, term: 1y, usdPerHour: 30,
     source: our contract}
""")
    assert offering(catalog, "p5en.48xlarge", "us-east-2", "reserved").term == "1y"


def test_the_users_own_spot_price_stands_whatever_it_is(catalog_with):
    catalog = catalog_with("""
prices:
  - {provider: vast, instanceType: 1x RTX 4090, region: Vietnam, capacityType: spot, usdPerHour: 0.27, source: us}
""")
    assert offering(catalog, "1x RTX 4090", "Vietnam", "spot").usd_per_hour == Decimal("0.27")


def test_an_alias_resolves_what_was_ambiguous(catalog_with):
    catalog = catalog_with("gpuAliases:\n  - {provider: coreweave, gpu: H100, accelerators: [h100-sxm]}\n")
    assert offering(catalog, "H100 x8", "any", "on-demand").accelerator == "h100-sxm"


def test_another_engine(catalog_with):
    catalog = catalog_with("""
engines:
  - {engine: sglang, version: 0.6.1, image: "lmsysorg/sglang:v0.6.1", imageGb: 12, gpuMemoryUtilization: 0.9,
     graphsInBudget: false, sources: [us]}
""")
    assert catalog.release("sglang").version == "0.6.1"


def test_the_price_of_a_volume_is_corrected(catalog_with):
    catalog = catalog_with("""
volumes:
  - {id: ebs-gp3, name: gp3, provider: aws, region: eu-central-1, usdPerGbMonth: 0.0952, includedMibPerS: 125,
     usdPerMibPerSMonth: 0.048, maxMibPerS: 1000, includedIops: 3000, usdPerIopsMonth: 0.006, mibPerSPerIops: 0.25,
     date: "2026-11-25", sources: [our bill]}
""")
    gp3, _ = catalog.volume_types("aws")
    assert (gp3.region, gp3.usd_per_gb_month) == ("eu-central-1", Decimal("0.0952"))
    assert catalog.newest_date == "2026-11-25"
    assert len(catalog.volumes) == len(BASE.volumes)


def test_another_end_of_support_brings_another_version(catalog_with):
    catalog = catalog_with("""
kubernetes:
  - {target: eks, version: "1.36", standardSupportEnds: "2026-08-01", date: "2026-08-22", sources: [the calendar]}
""")
    assert BASE.usual_kubernetes_version(VERSIONS) == "1.36"
    assert catalog.usual_kubernetes_version(VERSIONS) == "1.35"


def test_a_newer_price_alone_brings_no_other_version(catalog_with):
    catalog = catalog_with("""
prices:
  - {provider: aws, instanceType: g6e.xlarge, region: us-east-1, capacityType: on-demand, usdPerHour: 1.5,
     date: "2027-01-01", source: our contract}
""")
    assert catalog.newest_date == "2027-01-01"
    assert catalog.usual_kubernetes_version(VERSIONS) == "1.36"


def test_parsers_of_another_release(catalog_with):
    catalog = catalog_with("""
engineParsers:
  - {engine: vllm, version: 0.40.0, toolCalls: {names: [hermes, ours]}, reasoning: {names: [qwen3]}, sources: [us]}
""")
    assert "ours" in catalog.engine_parsers("vllm", "0.41.0").tool_calls.names
    assert catalog.engine_parsers("vllm", "0.33.0") == BASE.engine_parsers("vllm", "0.33.0")
    assert catalog.engine_parsers("vllm", "0.11.0") == BASE.engine_parsers("vllm", "0.33.0")
    assert catalog.engine_parsers("tgi", "3.3.7") is None


def test_an_empty_overlay_changes_the_version_alone(catalog_with):
    catalog = catalog_with("")
    assert catalog.offerings == BASE.offerings
    assert catalog.version != BASE.version


def test_all_faults_at_once_with_their_lines(catalog_with):
    faults = faults_of(
        catalog_with,
        """prices:
  - {provider: aws, instanceType: g6e.xlarge, region: us-east-1, capacityType: rented, usdPerHour: 1, source: x}
  - {provider: aws, instanceType: g6e.xlarge, region: us-east-1, capacityType: spot, usdPerHour: -1, source: ""}
  - {provider: aws, instanceType: g6e.xlarge, region: us-east-1, capacityType: spot, usdPerHour: 1}
machines: []
""",
    )
    assert [(fault.line, fault.path) for fault in faults] == [
        (4, "prices[0].capacityType"),
        (5, "prices[1].usdPerHour"),
        (5, "prices[1].source"),
        (6, "prices[2]"),
        (7, ""),
    ]


def test_names_that_lead_nowhere(catalog_with):
    faults = faults_of(
        catalog_with,
        """instanceTypes:
  - {provider: awz, name: m, gpu: l4O, gpuCount: 1, sources: [x]}
prices:
  - {provider: aws, instanceType: g6e.xlarg, region: us-east-1, capacityType: spot, usdPerHour: 1, source: x}
""",
    )
    assert [(fault.path, fault.hint) for fault in faults] == [
        ("instanceTypes[0].provider", "did you mean 'aws'?"),
        ("instanceTypes[0].gpu", "give the id of an accelerator"),
        ("prices[0].instanceType", "did you mean 'g6e.xlarge'?"),
    ]


@pytest.mark.parametrize("body", ["kind: AgentStack", "- 1", "{", "apiVersion: agentgpu.dev/v9\nkind: CatalogOverlay"])
def test_other_files(catalog_with, body):
    assert all(fault.source.endswith("own.yaml") for fault in faults_of(catalog_with, body, head=""))


def test_a_dedicated_endpoint_is_of_an_accelerator_of_the_catalog(catalog_with):
    row = "  - {{seller: acme, accelerator: {}, usdPerAcceleratorHour: {}, date: '2026-08-01', source: our contract}}\n"
    catalog = catalog_with("endpointPrices:\n" + row.format("l4", "0.80") + row.format("l4", "0.70"))
    assert [
        (each.seller, each.accelerator, str(each.usd_per_accelerator_hour)) for each in catalog.endpoint_prices
    ] == [("acme", "l4", "0.7")]
    wrong = faults_of(catalog_with, "endpointPrices:\n" + row.format("l44", "0.80") + row.format("l4", "0"))
    assert {(fault.line, fault.path) for fault in wrong} == {
        (4, "endpointPrices[0].accelerator"),
        (5, "endpointPrices[1].usdPerAcceleratorHour"),
    }
    assert BASE.endpoint_prices == ()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        load_catalog(tmp_path / "none.yaml")


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "own.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="UTF-8"):
        load_catalog(tmp_path / "own.yaml")


def test_faults_read_as_those_of_a_stack_and_all_at_once(catalog_with):
    faults = faults_of(
        catalog_with,
        """
prices:
  - {provider: aws, instanceType: g6e.xlarge, region: us-east-1, capacityType: on-deman, usdPerHour: 1.5, source: us}
  - {provider: aws, instanceType: g6e.xlarg, region: us-east-1, capacityType: on-demand, usdPerHour: 1.5, source: us}
calibrations:
  - {accelerator: l4, ttftRatio: "1", source: x}
kubernete: []
providers:
  - {id: ours, name: 5, sources: [us]}
  - {id: hf_AbCdEf0123456789AbCd, name: ours, sources: [us]}
""",
    )
    said = {(fault.line, fault.path): f"{fault.message} ({fault.hint})" for fault in faults}
    assert set(said) == {
        (5, "prices[0].capacityType"),
        (6, "prices[1].instanceType"),
        (8, "calibrations[0].ttftRatio"),
        (9, ""),
        (11, "providers[0].name"),
        (12, "providers[1].id"),
    }
    assert "did you mean 'on-demand'?" in said[5, "prices[0].capacityType"]
    assert "did you mean 'kubernetes'?" in said[9, ""]
    assert "write 1, not" in said[8, "calibrations[0].ttftRatio"]
    assert "did you mean 'g6e.xlarge'?" in said[6, "prices[1].instanceType"]
    assert "AbCdEf" not in str(said)
    assert not any("Input should" in text for text in said.values())


def test_a_name_is_not_missed_where_its_row_has_a_fault(catalog_with):
    faults = faults_of(
        catalog_with,
        """
accelerators:
  - {id: x1, name: X1, memoryGb: -64, bandwidthGbPerS: 1000, pcieGeneration: 5, computeCapability: "9.0", sources: [lab]}
instanceTypes:
  - {provider: aws, name: rack-1, gpu: x1, gpuCount: 4, sources: [lab]}
""",
    )
    assert [fault.path for fault in faults] == ["accelerators[0].memoryGb"]


def test_a_file_that_is_no_mapping_is_one_fault(catalog_with):
    (fault,) = faults_of(catalog_with, "- 1\n", head="")
    assert "mapping" in fault.message
