"""The bars of load times by path, with each source left out, and what a plan may say about storage."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import loading, starting
from bench import accuracy_loading as accuracy
from tests.sizing.rows import make_instance

LOADS, SKIPPED = accuracy.loads()
LEFT_OUT = [error for _, error in accuracy.left_out(LOADS)]
VOLUMES = load_catalog().volume_types("aws")
MACHINES = {row.instance_type.name: row.instance_type for row in load_catalog().offerings if row.provider == "aws"}


class TestBars:
    def test_leaving_each_source_out(self):
        assert accuracy.median_error(LEFT_OUT) <= 0.25
        assert accuracy.within(LEFT_OUT, 1.5) >= 0.8

    def test_nine_in_ten_loads_take_no_longer_than_the_upper_figure(self):
        at_worst = 1 + starting.WEIGHTS_ERROR_RATIO
        assert sum(1 / (1 + error) <= at_worst for error in LEFT_OUT) / len(LEFT_OUT) >= 0.9

    def test_every_path_is_scored(self):
        assert {row.source.path for row in LOADS} == set(accuracy.PATHS.values())
        assert len(LOADS) + len(SKIPPED) == 47 + len(accuracy.CATALOG_ROWS)

    def test_at_most_ten_constants_and_they_are_what_the_rows_say(self):
        found = accuracy.fit(LOADS)
        assert set(found) == set(accuracy.FITTED)
        assert len(found) <= 10
        for name, value in found.items():
            assert getattr(loading, name) == pytest.approx(value, rel=0.06), name


class TestThePlaybook:
    """26 GB: default gp3 3 to 4 minutes, local NVMe under 30 s."""

    MODEL_GIB = 26e9 / 2**30

    def test_local_nvme_cold_and_warm(self):
        cold = self.MODEL_GIB / loading.source_gib_per_s(loading.Source(path="nvme"))
        warm = self.MODEL_GIB / loading.source_gib_per_s(loading.Source(path="page-cache"))
        assert cold == pytest.approx(30.3, abs=0.1)
        assert warm == pytest.approx(4.4, abs=0.1)

    def test_default_gp3(self):
        source = loading.Source(path="ebs-gp3", volume_mib_per_s=125)
        assert 3 <= self.MODEL_GIB / loading.source_gib_per_s(source) / 60 <= 4


class TestColdStarts:
    def test_g6e_2xlarge_from_s3(self):
        """393 s, of which 53 s are Ray's containers and 52 s Serve; the rest is 288 s."""
        machine = MACHINES["g6e.2xlarge"]
        s3 = next(one for one in loading.storage_options(machine, 15.0, VOLUMES) if one.path == "s3")
        engine = starting.Starting(layers=32, version="0.9")
        phases = (
            starting.NODE_S + starting.DRIVER_S + starting.compile_s(engine) + starting.warm_up_s(engine) + s3.seconds
        )
        total = phases + starting.image_pull_s(11.6)
        assert total == pytest.approx(393 - 53 - 52, rel=0.2)


class TestStorageOptions:
    def test_prices(self):
        """300 GB of gp3 at 1,000 MB/s and 16,000 IOPS: 24 + 35 + 65 dollars."""
        gp3, io2 = VOLUMES
        assert loading.volume_usd_per_month(gp3, 300, 1000, 16_000) == Decimal("124.00")
        assert loading.volume_usd_per_month(gp3, 40, 125, 3000) == Decimal("3.20")
        assert loading.volume_usd_per_month(io2, 100, 250, 1000) == Decimal("77.50")

    def test_a_throughput_takes_the_iops_that_carry_it(self):
        gp3, io2 = VOLUMES
        assert [loading.iops_for(gp3, rate) for rate in (125, 600, 1000)] == [3000, 3000, 4000]
        assert loading.iops_for(io2, 4000) == 16_000

    def test_without_prices_of_volumes_none_is_offered(self):
        found = {one.path for one in loading.storage_options(MACHINES["g6e.xlarge"], 15.0, ())}
        assert found == {"nvme", "s3", "efs", "fsx"}

    def test_the_instance_s_own_disk_costs_nothing_and_comes_first_on_a_small_machine(self):
        options = loading.storage_options(MACHINES["g6e.xlarge"], 15.0, VOLUMES)
        assert [one.seconds for one in options] == sorted(one.seconds for one in options)
        assert options[0].path == "nvme"
        assert options[0].usd_per_month == 0
        assert {one.path for one in options} == {"nvme", "ebs-gp3", "ebs-io2", "s3", "efs", "fsx"}
        assert all(one.why for one in options)

    def test_a_faster_volume_is_not_offered_where_the_instance_is_the_limit(self):
        gp3 = [one for one in loading.storage_options(MACHINES["g6e.xlarge"], 15.0, VOLUMES) if one.path == "ebs-gp3"]
        assert [one.usd_per_month for one in gp3] == [Decimal("2.83")]
        assert "EBS baseline of 125 MB/s" in gp3[0].why

    def test_a_streamer_lets_a_fast_volume_count(self):
        gp3 = [one for one in loading.storage_options(MACHINES["g5.12xlarge"], 15.0, VOLUMES) if one.path == "ebs-gp3"]
        assert gp3[0].loader == "streamer"
        assert gp3[0].seconds == pytest.approx(15.4, abs=0.1)

    def test_without_a_disk_of_its_own_or_too_small_a_one(self):
        bare = make_instance(nvme_count=0, nvme_total_gb=0)
        assert all(one.path != "nvme" for one in loading.storage_options(bare, 15.0, VOLUMES))
        small = make_instance(nvme_count=1, nvme_total_gb=100)
        assert all(one.path != "nvme" for one in loading.storage_options(small, 500.0, VOLUMES))

    def test_the_cheapest_in_time_else_the_fastest(self):
        options = loading.storage_options(MACHINES["g5.12xlarge"], 100.0, VOLUMES)
        assert loading.recommended(options, 1e9) == next(one for one in options if one.usd_per_month == 0)
        assert loading.recommended(options, 0.0) == options[0]
        assert loading.recommended((), 10.0) is None

    def test_image_pulls(self):
        assert starting.image_pull_s(9.35) == pytest.approx(130.8)
        assert starting.image_pull_s(9.35, "parallel") == pytest.approx(39.6)
        assert starting.image_pull_s(9.35, "cached") == 0.0
