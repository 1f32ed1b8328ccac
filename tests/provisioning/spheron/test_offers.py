"""The choice among offers, and the names that marketplaces give to GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from agentgpu_iac.catalog.join import NoAcceleratorError
from agentgpu_iac.catalog.marketplace import SoldGpu, accelerator_sold
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.provisioning.spheron.client import Offer
from agentgpu_iac.provisioning.spheron.offers import choose, operating_system
from tests.provisioning.spheron.scenes import Scene, make_market, make_way
from tests.provisioning.spheron.world import offer


def offers() -> tuple[Offer, ...]:
    return Scene().client(key=None).offers().offers


def sold(**changes: Any) -> Offer:
    return Offer.model_validate({**offer("one"), "gpuType": "RTX5090", "displayName": "RTX 5090", **changes})


def test_the_cheapest_that_can_set_itself_up_comes_first() -> None:
    choice = choose(offers(), make_market(), 1)
    assert [one.offer.offer_id for one in choice.candidates] == ["rtx-good", "rtx-next"]


def test_every_other_offer_of_these_gpus_says_why_not() -> None:
    reasons = {one.offer.offer_id: one.reason for one in choose(offers(), make_market(), 1).passed_over}
    assert reasons == {
        "rtx-bare": "it takes no cloud-init, so the machine could not set itself up",
        "rtx-dear": "USD 1.9 an hour is above the cap of USD 0.95",
        "rtx-sold-out": "it is sold out",
        "rtx-in-repair": "it is under maintenance",
        "rtx-spot": "it is sold as SPOT, and the plan wants DEDICATED",
    }


def test_the_preferred_way_of_buying_comes_before_a_lower_price() -> None:
    market = make_market(ways=(make_way("SPOT", "0.30", "0.40"), make_way(price="0.76", cap="0.95")))
    assert [one.offer.offer_id for one in choose(offers(), market, 1).candidates] == [
        "rtx-spot",
        "rtx-good",
        "rtx-next",
    ]


def test_each_way_has_its_own_cap() -> None:
    market = make_market(ways=(make_way("SPOT", "0.20", "0.25"), make_way()))
    assert [one.offer.offer_id for one in choose(offers(), market, 1).candidates] == ["rtx-good", "rtx-next"]


def test_regions_that_the_plan_does_not_allow_are_passed_over() -> None:
    choice = choose(offers(), make_market(regions=("casper-usa-1",)), 1)
    assert [(one.offer.offer_id, one.region) for one in choice.candidates] == [("rtx-next", "casper-usa-1")]


def test_a_fallback_accelerator_comes_after_the_planned_one_and_under_the_same_cap() -> None:
    market = make_market(accelerators=("rtx-5090", "h100-sxm"), ways=(make_way(cap="2.5"),))
    found = [one.offer.offer_id for one in choose(offers(), market, 1).candidates]
    assert found == ["rtx-good", "rtx-next", "rtx-dear", "h100-good"]
    capped = make_market(accelerators=("rtx-5090", "h100-sxm"))
    assert "h100-good" not in [one.offer.offer_id for one in choose(offers(), capped, 1).candidates]


def test_only_machines_with_as_many_accelerators_count() -> None:
    market = make_market(ways=(make_way(cap="2"),))
    assert [one.offer.offer_id for one in choose(offers(), market, 2).candidates] == ["rtx-pair"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"vcpus": 2}, "processors"),
        ({"memory": 4}, "memory"),
        ({"storage": 50}, "disk"),
        ({"os_options": []}, "operating system"),
        ({"clusters": []}, "no region"),
        ({"price": 0}, "no price"),
    ],
)
def test_a_machine_that_is_too_small_or_says_too_little_is_passed_over(changes: dict[str, Any], reason: str) -> None:
    (passed,) = choose((sold(**changes),), make_market(), 1).passed_over
    assert reason in passed.reason


def test_an_offer_that_is_listed_twice_is_tried_once() -> None:
    assert len(choose((sold(), sold()), make_market(), 1).candidates) == 1


def test_an_image_with_docker_and_cuda_is_preferred() -> None:
    assert (
        operating_system(("Ubuntu 22.04", "Debian 12", "Ubuntu 24.04 + Docker, CUDA 12"))
        == "Ubuntu 24.04 + Docker, CUDA 12"
    )
    assert operating_system(("Rocky 9", "Ubuntu 22.04", "Ubuntu 24.04")) == "Ubuntu 24.04"
    assert operating_system(("Ubuntu 24.04", "ML image, NVIDIA driver 570")) == "ML image, NVIDIA driver 570"
    assert operating_system(("Ubuntu 24.04", "Rocky 9 with CUDA")) == "Ubuntu 24.04", "setup knows no Rocky"


def test_an_offer_with_the_driver_comes_before_a_cheaper_one_without() -> None:
    bare = sold(offerId="bare", price=0.5, os_options=["Ubuntu 24.04 LTS"], instanceType="SPOT")
    choice = choose((bare, sold(price=0.9)), make_market(ways=(make_way("SPOT"), make_way())), 1)
    assert [(one.offer.offer_id, one.needs_driver) for one in choice.candidates] == [("one", False), ("bare", True)]


@pytest.mark.parametrize(
    ("name", "memory_gb", "interconnect", "expected"),
    [
        ("RTX 5090", 32, "PCIe", "rtx-5090"),
        ("RTX5090_PCIE", 32, "PCIe", "rtx-5090"),
        ("NVIDIA GeForce RTX 4090", 24, "", "rtx-4090"),
        ("RTX 4090 D", 24, "PCIe", None),
        ("H100 SXM5", 80, "", "h100-sxm"),
        ("H100_SXM5", None, "", "h100-sxm"),
        ("NVIDIA H100 80GB PCIe", 80, "PCIe", "h100-pcie"),
        ("H100", 80, "SXM5", "h100-sxm"),
        ("H100", 80, "", None),
        ("H100", 94, "PCIe", "h100-nvl"),
        ("A100", 80, "SXM4", "a100-80gb-sxm"),
        ("A100 SXM4", 40, "SXM4", "a100-40gb-sxm"),
        ("H200", 141, "SXM", "h200-sxm"),
        ("B200", 192, "SXM6", "b200-sxm"),
        ("L40S", 48, "PCIe", "l40s"),
        ("RTX 5090", 24, "PCIe", None),
        ("RTX PRO 6000", 96, "PCIe", "rtx-pro-6000-blackwell-server"),
        ("GH200", 96, "", "gh200-96gb"),
        ("GH200", None, "", None),
        ("A100_80G_PCIE", 80, "", "a100-80gb-pcie"),
    ],
)
def test_a_gpu_is_one_accelerator_or_none(
    name: str, memory_gb: float | None, interconnect: str, expected: str | None
) -> None:
    rows = packaged_rows()
    gpu = SoldGpu(names=(name,), memory_gb=memory_gb, interconnect=interconnect)
    if expected is None:
        with pytest.raises(NoAcceleratorError):
            accelerator_sold(gpu, "spheron", rows.accelerators, rows.gpu_aliases)
    else:
        assert accelerator_sold(gpu, "spheron", rows.accelerators, rows.gpu_aliases).id == expected
