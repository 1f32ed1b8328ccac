"""Cold start, phase by phase, against the playbook's figures and the cold starts that were measured."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import loading
from agentgpu_iac.units import GB, GIB
from tests.sizing.rows import make_instance
from tests.thoroughness import examples

CATALOG = load_catalog()
MACHINES = {row.instance_type.name: row.instance_type for row in CATALOG.offerings if row.provider == "aws"}
MODEL_13B_GIB = 26 * GB / GIB


def start(instance, *, model_gib=15.0, storage="nvme", volume=600, image_gb=9.35, node_models_gib=None):
    return loading.cold_start(
        instance,
        model_gib=model_gib,
        node_models_gib=model_gib if node_models_gib is None else node_models_gib,
        image_gb=image_gb,
        storage=storage,
        root_volume_mib_per_s=volume,
    )


class TestThePlaybook:
    """A 13B model in FP16, 26 GB: "default gp3 (125 MB/s) 3 to 4 minutes; local NVMe under 30 s"."""

    def test_gp3_at_its_default_rate(self):
        """Ours: 26 GB at 125 MiB/s are 198 s, 3.3 minutes. Theirs: 3 to 4 minutes."""
        seconds = start(make_instance(), model_gib=MODEL_13B_GIB, storage="ebs-gp3", volume=125).weights
        assert seconds == pytest.approx(198.4, abs=0.1)
        assert 3 <= seconds / 60 <= 4

    def test_a_fast_volume_behind_a_small_instance(self):
        """Ours: g6e.xlarge reads 125 MB/s from EBS whatever the volume could do: 208 s, 3.5 minutes."""
        seconds = start(MACHINES["g6e.xlarge"], model_gib=MODEL_13B_GIB, storage="ebs-gp3", volume=1000).weights
        assert seconds == pytest.approx(208.0, abs=0.1)
        assert 3 <= seconds / 60 <= 4

    def test_local_nvme(self):
        """Ours: 30 s with a cold page cache, 4.4 s from a warm one. Theirs: under 30 s; within our band."""
        seconds = start(make_instance(), model_gib=MODEL_13B_GIB).weights
        assert seconds == pytest.approx(30.3, abs=0.1)
        assert seconds / (1 + loading.ERROR_RATIO) < 30

    def test_a_volume_of_500(self):
        """Ours: the default safetensors loader, not the volume, is the limit: 71 s. Theirs: under a minute."""
        seconds = start(make_instance(), model_gib=MODEL_13B_GIB, storage="ebs-gp3", volume=500).weights
        assert seconds == pytest.approx(71.2, abs=0.1)
        assert seconds / (1 + loading.ERROR_RATIO) < 60


class TestRates:
    def test_the_slowest_of_loader_volume_and_instance_wins(self):
        plenty = make_instance(ebs_baseline_mbps=2000.0)
        assert loading.storage_gib_per_s(plenty, "ebs-gp3", 1000) == 0.34
        assert loading.storage_gib_per_s(plenty, "ebs-gp3", 128) == 0.125
        small = make_instance(ebs_baseline_mbps=125.0, ebs_max_mbps=625.0)
        assert loading.storage_gib_per_s(small, "ebs-gp3", 1000) == pytest.approx(125e6 / GIB)
        unknown = make_instance(ebs_baseline_mbps=None)
        assert loading.storage_gib_per_s(unknown, "ebs-gp3", 1000) == 0.34

    def test_without_instance_store_nvme_means_the_root_volume(self):
        bare = make_instance(nvme_count=0, nvme_total_gb=0)
        assert loading.storage_gib_per_s(bare, "nvme", 600) == loading.storage_gib_per_s(bare, "ebs-gp3", 600)

    @pytest.mark.parametrize("name", ["g5.xlarge", "g6.xlarge", "g6e.xlarge", "g6e.2xlarge", "p5.48xlarge"])
    def test_nvme_is_faster_than_gp3(self, name):
        machine = MACHINES[name]
        nvme, gp3 = start(machine), start(machine, storage="ebs-gp3")
        assert nvme.weights < gp3.weights
        assert nvme.total < gp3.total

    def test_a_cache_is_filled_at_the_slowest_of_hub_network_and_disk(self):
        assert loading.fill_gib_per_s(make_instance(), "nvme", 600) == 0.7
        assert loading.fill_gib_per_s(make_instance(network_baseline_gbps=None), "nvme", 600) == 0.7
        thin = make_instance(network_baseline_gbps=2.5)
        assert loading.fill_gib_per_s(thin, "nvme", 600) == pytest.approx(2.5e9 / 8 / GIB)
        assert loading.fill_gib_per_s(make_instance(), "ebs-gp3", 128) == 0.125


class TestMeasured:
    def test_a_full_cold_start_of_g6e_2xlarge(self):
        """data-on-eks: 393 s from nothing to an answer, 15 GiB; their image was 11.6 GB with Ray beside the engine."""
        found = start(MACHINES["g6e.2xlarge"], image_gb=11.6)
        assert abs(found.total - 393) <= loading.ERROR_RATIO * found.total
        assert (
            abs(start(MACHINES["g6e.2xlarge"]).total - 393)
            <= loading.ERROR_RATIO * start(MACHINES["g6e.2xlarge"]).total
        )

    def test_a_full_cold_start_elsewhere(self):
        """KAITO on AKS: 966 s, its image pulled in 101 s and its weights loaded in 62 s; far outside the band of EKS."""
        ours = loading.NODE_S + loading.DRIVER_S + 101 + 62 + loading.COMPILE_S + loading.WARM_UP_S
        assert loading.ERROR_RATIO < 966 / ours - 1 <= loading.ERROR_RATIO_ELSEWHERE

    def test_a_warm_node(self):
        """The same run: about 150 s with a cached image, of which 53 s are Ray's containers and 52 s Serve."""
        found = start(MACHINES["g6e.2xlarge"])
        assert abs(found.warm_node_total - (150 - 53 - 52)) <= loading.ERROR_RATIO * found.warm_node_total

    def test_the_phases_as_measured(self):
        found = start(MACHINES["g6e.2xlarge"])
        assert found.node == 53.0
        assert found.driver == 36.0
        assert found.image == pytest.approx(130.8)
        assert found.compile + found.warm_up == pytest.approx(33.8)
        assert found.weights == pytest.approx(22.0, rel=0.16)

    def test_gp3_with_the_default_loader(self):
        """Llama-3-8B, 14.96 GiB from gp3 on g5.12xlarge: 47.99 s."""
        found = start(MACHINES["g5.12xlarge"], model_gib=14.96, storage="ebs-gp3", volume=1000)
        assert found.weights == pytest.approx(47.99, rel=0.1)


@settings(derandomize=True, deadline=None, database=None, max_examples=examples(100))
@given(
    model=st.floats(0.1, 800),
    others=st.floats(0, 800),
    image=st.floats(0, 40),
    storage=st.sampled_from(["nvme", "ebs-gp3"]),
    volume=st.integers(125, 2000),
    network=st.one_of(st.none(), st.floats(1, 3200)),
    ebs=st.one_of(st.none(), st.floats(50, 12_500)),
    disks=st.integers(0, 8),
)
def test_phases_add_up_and_bigger_is_never_faster(model, others, image, storage, volume, network, ebs, disks):
    machine = make_instance(network_baseline_gbps=network, ebs_baseline_mbps=ebs, nvme_count=disks)
    found = start(
        machine, model_gib=model, node_models_gib=model + others, image_gb=image, storage=storage, volume=volume
    )
    assert found.total == pytest.approx(sum(dataclasses.astuple(found)))
    assert found.warm_node_total == pytest.approx(found.weights + found.compile + found.warm_up)
    bigger = start(
        machine,
        model_gib=model * 1.5,
        node_models_gib=(model + others) * 1.5,
        image_gb=image,
        storage=storage,
        volume=volume,
    )
    assert bigger.total > found.total
    faster = start(
        machine, model_gib=model, node_models_gib=model + others, image_gb=image, storage=storage, volume=volume + 100
    )
    assert faster.total <= found.total


@pytest.mark.parametrize(
    ("path", "loader", "gib_per_s"),
    [
        ("efs", "streamer", 10 * 1e9 / 8 / 2**30),
        ("fsx", "streamer", 10 * 1e9 / 8 / 2**30),
        ("s3", "streamer", 0.75 * 10 * 1e9 / 8 / 2**30),
        ("efs", "default", 0.34),
        ("ebs-gp3", "streamer", 6.2),
    ],
)
def test_a_shared_file_system_is_no_faster_than_the_network(path, loader, gib_per_s):
    """10 Gbps are 1.16 GiB/s; a bucket gives three quarters; mapped pages over a network come at 0.34 GiB/s whatever it is."""
    found = loading.source_gib_per_s(loading.Source(path=path, loader=loader, network_gbps=10.0))
    assert found == pytest.approx(gib_per_s, rel=1e-3)
