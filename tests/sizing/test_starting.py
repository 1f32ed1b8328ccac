"""Starts of engines: predicted from other sources' starts, and the bounds that kill or buy."""

from __future__ import annotations

import json
import statistics
from typing import ClassVar

import pytest

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.sizing import starting
from bench import accuracy_starting as accuracy
from tests.sizing.rows import make_accelerator, make_instance, make_model, make_moe

STARTS = accuracy.starts()
LEFT_OUT = list(accuracy.left_out(STARTS))
CATALOG = load_catalog()


class TestJudgedBySourcesLeftOut:
    def test_as_stated(self):
        ratios = [ratio for _, ratio in LEFT_OUT]
        assert len(ratios) == len(STARTS) == 26
        assert statistics.median(abs(ratio - 1) for ratio in ratios) == pytest.approx(0.257, abs=0.005)
        assert accuracy.spread(ratios) == pytest.approx(0.36, abs=0.01)

    def test_nineteen_in_twenty_take_no_longer_than_the_upper_figure(self):
        at_worst = 1 + starting.ENGINE_ERROR_RATIO
        assert sum(ratio <= at_worst for _, ratio in LEFT_OUT) / len(LEFT_OUT) >= 0.95

    def test_half_of_one_constant_for_all_did_not(self):
        """33.8 s for every model: not one start came so soon."""
        assert all(row.seconds >= 33.8 for row in STARTS)
        assert statistics.median(row.seconds / 33.8 for row in STARTS) > 4

    def test_the_constants_are_what_the_rows_say(self):
        found = accuracy.fit(STARTS)
        assert len(found) == 10
        for name, value in found.items():
            assert getattr(starting, name) == pytest.approx(value, rel=0.02), name


class TestRestarts:
    RESTARTS = accuracy.restarts()
    OUTSIDE: ClassVar = [ratio for _, ratio in accuracy.restarts_left_out(RESTARTS)]

    def test_as_stated_and_far_from_a_cold_start(self):
        """The bar is 35 %. Hosts differ by a factor of three, and 22 of 48 rows are of one fast host: by rows it is not met."""
        by_origin = {}
        for row, ratio in accuracy.restarts_left_out(self.RESTARTS):
            by_origin.setdefault(row.origin, []).append(abs(ratio - 1))
        assert (len(self.OUTSIDE), len(by_origin)) == (48, 14)
        assert statistics.median(map(statistics.median, by_origin.values())) == pytest.approx(0.302, abs=0.005)
        assert statistics.median(abs(ratio - 1) for ratio in self.OUTSIDE) == pytest.approx(0.411, abs=0.005)
        cold = [row.seconds / accuracy.predicted_s(row) for row in self.RESTARTS]
        assert statistics.median(abs(1 / ratio - 1) for ratio in cold) > 1.8

    def test_nineteen_in_twenty_take_no_longer_than_the_upper_figure(self):
        at_worst = 1 + starting.ENGINE_ERROR_RATIO
        assert sum(ratio <= at_worst for ratio in self.OUTSIDE) / len(self.OUTSIDE) >= 0.95

    def test_layers_tell_models_of_one_host_apart(self):
        """Without them the same host was 1.5 times as slow with 48 layers as with 24; what is left is the host."""
        for part in ("examples/model_size", "figure-10/gpu1"):
            rows = json.loads((accuracy.DATA / "restarts.json").read_text(encoding="utf-8"))
            names = [row["source"] for row in rows]
            found = [
                ratio
                for (row, ratio), source in zip(
                    ((row, row.seconds / accuracy.predicted_restart_s(row)) for row in self.RESTARTS),
                    names,
                    strict=True,
                )
                if part in source
            ]
            assert len(found) == 11
            assert max(found) / min(found) < 1.2

    def test_the_constants_are_what_the_rows_say(self):
        for name, value in accuracy.fit_restarts(self.RESTARTS).items():
            assert getattr(starting, name) == pytest.approx(value, rel=0.01), name

    def test_each_source_counts_once(self):
        once = accuracy.fit_restarts(self.RESTARTS)
        twice = self.RESTARTS + tuple(row for row in self.RESTARTS if row.origin.startswith("upb"))
        assert accuracy.fit_restarts(twice) == pytest.approx(once)

    def test_code_that_is_loaded_as_a_whole_is_not_traced(self):
        older, newer = (starting.restart_init_s(starting.Starting(layers=48, version=v)) for v in ("0.16.0", "0.17.0"))
        assert older == pytest.approx(48 * 0.696)
        assert newer == starting.restart_init_s(starting.Starting(layers=48)) == pytest.approx(48 * 0.255)

    def test_a_restart_is_sooner_than_a_start_on_a_warm_node_and_waits_for_what_is_tuned_anew(self):
        def of(**kind):
            return starting.cold_start(
                make_instance(),
                starting.Starting(layers=32, **kind),
                model_gib=30.0,
                node_models_gib=30.0,
                storage="nvme",
                root_volume_mib_per_s=600,
                node=starting.NewNode(image_gb=9.35),
            )

        dense, experts = of(), of(has_experts=True)
        assert dense.restart < dense.likely.warm_node_total
        assert dense.restart < dense.upper_restart < dense.upper_warm_node_total
        assert experts.restart - dense.restart == pytest.approx(starting.EXPERTS_WARM_UP_S - starting.WARM_UP_S)


class TestTheEnginesOwnPart:
    def test_a_model_of_its_kind(self):
        dense = starting.Starting(layers=32)
        experts = starting.Starting(layers=32, has_experts=True)
        recurrent = starting.Starting(layers=32, has_recurrent_layers=True)
        waits = [starting.warm_up_s(engine) for engine in (dense, experts, recurrent)]
        assert waits == sorted(waits)

    def test_deeper_and_wider_is_slower(self):
        assert starting.compile_s(starting.Starting(layers=94)) == pytest.approx(12.8 + 94 * 0.428)
        one, eight = (starting.imports_s(starting.Starting(layers=32, ranks=ranks)) for ranks in (1, 8))
        assert eight - one == pytest.approx(36)

    def test_imports_follow_the_version(self):
        versions = ("0.19.1", "0.20.0", None)
        old, new, unknown = (starting.imports_s(starting.Starting(layers=32, version=text)) for text in versions)
        assert old < new == unknown

    def test_deep_gemm_is_compiled_where_it_runs(self):
        def of(capability, precision, model):
            card = make_accelerator(compute_capability=capability)
            return starting.starting(model, card, precision=precision, ranks=1).compiles_deep_gemm

        assert of("9.0", "fp8", make_moe()) and of("10.0", "fp8", make_moe())
        assert not of("12.0", "fp8", make_moe())
        assert not of("9.0", "bf16", make_moe())
        assert not of("9.0", "fp8", make_model())

    def test_an_engine_that_nobody_measured_is_wider(self):
        node = starting.NewNode(image_gb=9.35)
        known, unknown = (
            starting.cold_start(
                make_instance(),
                starting.Starting(layers=32, is_measured=is_measured),
                model_gib=15.0,
                node_models_gib=15.0,
                storage="nvme",
                root_volume_mib_per_s=600,
                node=node,
            )
            for is_measured in (True, False)
        )
        assert unknown.likely == known.likely
        assert unknown.upper.warm_up / unknown.likely.warm_up == pytest.approx(1 + 0.95 * 1.5)
        assert unknown.upper_warm_node_total > known.upper_warm_node_total


class TestMeasuredByOthers:
    """What public reports saw must fit the patience; their storage is not always stated."""

    @pytest.mark.parametrize(
        ("model", "card", "ranks", "version", "measured_s"),
        [
            ("Qwen/Qwen3-32B", "h100-sxm", 1, "0.26.0", 189),
            ("Qwen/Qwen3.5-9B", "l40s", 1, "0.19.0", 272),
            ("Qwen/Qwen3.8-27B", "a100-80gb-sxm", 1, "0.28.0", 352),
            ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "h100-sxm", 4, "0.19.0", 600),
        ],
    )
    def test_a_probe_waits_for_it(self, model, card, ranks, version, measured_s):
        row, accelerator = CATALOG.model(model), CATALOG.accelerator(card)
        engine = starting.starting(row, accelerator, precision=row.native_precision, ranks=ranks, version=version)
        found = starting.cold_start(
            make_instance(nvme_count=1),
            engine,
            model_gib=row.params_total * 2 / 2**30,
            node_models_gib=0.0,
            storage="nvme",
            root_volume_mib_per_s=600,
            node=starting.NewNode(image_gb=9.35),
        )
        patience = max(found.upper_warm_node_total, starting.least_patience_s(engine, row.native_precision, 1))
        assert patience > 1.2 * measured_s


@pytest.mark.parametrize(
    ("model", "precision", "nodes", "seconds"),
    [
        (make_model(), "bf16", 1, 600),
        (make_model(), "int4", 1, 600),
        (make_model(), "fp8", 1, 1800),
        (make_model(), "nvfp4", 1, 1800),
        (make_model(), "bf16", 2, 1800),
        (make_moe(), "bf16", 1, 1800),
    ],
)
def test_no_one_waits_less(model, precision, nodes, seconds):
    engine = starting.starting(model, make_accelerator(), precision=precision, ranks=1)
    assert starting.least_patience_s(engine, precision, nodes) == seconds


@pytest.mark.parametrize(
    ("nvme", "volume", "drawn_mbps", "pays"),
    [
        (1, 125, 100.0, True),
        (0, 600, None, True),
        (0, 599, None, False),
        (0, 600, 630.0, True),
        (0, 1000, 625.0, False),
    ],
)
def test_a_parallel_pull_needs_a_disk_that_takes_it(nvme, volume, drawn_mbps, pays):
    machine = make_instance(nvme_count=nvme, ebs_max_mbps=drawn_mbps)
    assert starting.parallel_pull_pays(machine, volume) is pays


def test_an_image_pulled_in_parallel_is_sooner_and_at_worst_no_later_than_by_default():
    def pulled(pull):
        return starting.cold_start(
            make_instance(),
            starting.Starting(layers=32),
            model_gib=15.0,
            node_models_gib=15.0,
            storage="nvme",
            root_volume_mib_per_s=600,
            node=starting.NewNode(image_gb=9.35, image_pull=pull),
        )

    parallel, default = pulled("parallel"), pulled("default")
    assert (parallel.likely.image, default.likely.image) == (pytest.approx(39.6), pytest.approx(130.8))
    assert parallel.upper.image == pytest.approx(default.likely.image)
    assert default.upper.image == pytest.approx(327)
