"""How images come to nodes: in parallel where we write the user data and the disk takes it, and counted so."""

from __future__ import annotations

import pytest

from tests.planning.scenes import make_agent, make_catalog, offerings, only, plan, workload


def pulled(target="eks", pins=None, capacity=None, **machine):
    found = plan(
        make_agent(),
        target=target,
        accelerators=only("large-80"),
        catalog=make_catalog(offerings("l1", "large-80", on_demand="3.00", **machine)),
        capacity=capacity or {},
        pins=pins or {},
    )
    (pool,) = found.node_pools
    start = workload(found).cold_start_s
    assert pool.image_pull == start.image_pull
    return start


def test_in_parallel_on_eks_and_sooner():
    parallel, default = pulled(), pulled(capacity={"imagePull": "default"})
    assert (parallel.image_pull, default.image_pull) == ("parallel", "default")
    assert parallel.image < 0.31 * default.image
    assert parallel.total < default.total
    assert parallel.upper.image == pytest.approx(default.image)


@pytest.mark.parametrize("target", ["kubernetes", "compose"])
def test_not_where_somebody_else_sets_up_the_nodes(target):
    assert pulled(target).image_pull == "default"


@pytest.mark.parametrize(
    ("date", "pull"), [("20251216", "default"), ("20251217", "parallel"), ("20260714", "parallel")]
)
def test_an_older_image_does_not_know_it(date, pull):
    assert pulled(pins={"amiAlias": f"al2023@v{date}"}).image_pull == pull
