"""The join: which machines and prices become offerings, and why the others do not."""

import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac.catalog.join import join
from agentgpu_iac.catalog.model import Accelerator, GpuAlias, InstanceType, Price
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.catalog.store import catalog_of, load_catalog
from tests.thoroughness import examples

CATALOG = load_catalog()
ROWS = packaged_rows()
CARD = Accelerator(
    id="card",
    name="Card",
    memory_gb=24,
    bandwidth_gb_per_s=1,
    pcie_generation=4,
    compute_capability="9.0",
    sources=("x",),
)
MACHINE = InstanceType(provider="p", name="m", gpu="Card", gpu_count=2, sources=("x",))


def price(usd, *, capacity_type="on-demand", region="r", zone="", date="2026-01-01", source="x", term=""):
    return Price(
        provider="p",
        instance_type="m",
        region=region,
        zone=zone,
        capacity_type=capacity_type,
        usd_per_hour=None if usd is None else Decimal(usd),
        date=date,
        term=term,
        source=source,
    )


def joined(*prices, own=(), machine=MACHINE, accelerators=(CARD,), aliases=()):
    return join(accelerators, (machine,), aliases, prices, own)


def only(result):
    (offering,) = result.offerings
    return offering


def offerings(name):
    return [row for row in CATALOG.offerings if row.instance_type.name == name]


def test_most_names_are_not_the_catalogs_own():
    names = {row.name for row in ROWS.accelerators}
    assert sum(row.gpu not in names for row in ROWS.instance_types) == 115


def test_how_many_machines_join():
    joined_machines = {(row.provider, row.instance_type.name) for row in CATALOG.offerings}
    left_out = [row for row in CATALOG.exclusions if row.kind == "offering"]
    assert (len(joined_machines), len(left_out)) == (188, 79)
    assert len(joined_machines) + len(left_out) == len(ROWS.instance_types)


def test_how_many_offerings_there_are():
    assert Counter(row.capacity_type for row in CATALOG.offerings) == {"on-demand": 547, "spot": 414, "reserved": 39}


def test_every_exclusion_has_a_name_and_a_reason():
    assert all(row.id and len(row.reason) > 10 for row in CATALOG.exclusions)
    assert len({(row.kind, row.id) for row in CATALOG.exclusions}) == len(CATALOG.exclusions)


def test_one_offering_for_each_machine_region_and_capacity_type():
    keys = Counter((r.provider, r.instance_type.name, r.region, r.capacity_type) for r in CATALOG.offerings)
    assert set(keys.values()) == {1}


def test_accelerators_of_offerings_exist():
    assert {row.accelerator for row in CATALOG.offerings} <= {row.id for row in CATALOG.accelerators}


@pytest.mark.parametrize(
    ("machine", "accelerator"),
    [
        ("p4d.24xlarge", "a100-40gb-sxm"),
        ("p4de.24xlarge", "a100-80gb-sxm"),
        ("p5.4xlarge", "h100-sxm"),
        ("p6-b300.48xlarge", "b300-sxm"),
        ("g7e.2xlarge", "rtx-pro-6000-blackwell-server"),
        ("g7.2xlarge", "rtx-pro-4500-blackwell-server"),
        ("n3-H100x8-NVLink", "h100-pcie"),
        ("n3-H100x8-NVLink__CANADA-1", "h100-pcie"),
        ("NC40ads_H100_v5", "h100-nvl"),
        ("n3-A100x8-NVLink", "a100-80gb-pcie"),
        ("gpu_1x_gh200", "gh200-96gb"),
        ("GB200 NVL72 x4", "gb200"),
    ],
)
def test_which_accelerator_a_machine_has(machine, accelerator):
    assert {row.accelerator for row in offerings(machine)} == {accelerator}


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        ("aws/g4dn.xlarge", "no figures for the T4"),
        ("aws/g6f.large", "a part of a GPU (0.125)"),
        ("aws/gr6f.4xlarge", "a part of a GPU (0.5)"),
        ("aws/p6e-gb200.36xlarge", "no usable price"),
        ("hyperstack/n3-L40x1", "no figures for the L40"),
        ("runpod/A100 PCIe", "a100-40gb-pcie or a100-80gb-pcie"),
        ("coreweave/H100 x8", "h100-nvl or h100-pcie or h100-sxm"),
        ("coreweave/GH200 x1", "96 or 144 GB"),
        ("spheron/gpu_1x_DGX_A100_us-central-2", "DGX"),
    ],
)
def test_why_a_machine_is_left_out(machine, reason):
    (exclusion,) = (row for row in CATALOG.exclusions if (row.kind, row.id) == ("offering", machine))
    assert reason in exclusion.reason


def test_the_newest_price_wins():
    assert only(joined(price("9", date="2025-12-31"), price("5", date="2026-02"))).usd_per_hour == 5


def test_a_dated_price_wins_over_an_undated_one():
    assert only(joined(price("9", date="2024-01-01"), price("5", date=""))).usd_per_hour == 9


def test_a_price_of_the_region_wins_over_one_that_names_none():
    offering = only(joined(price("9"), price("5", region="any")))
    assert (offering.region, offering.usd_per_hour) == ("r", 9)


def test_a_newer_price_that_names_no_region_holds_in_it():
    offering = only(joined(price("9"), price("5", region="any", date="2026-06-01")))
    assert (offering.region, offering.usd_per_hour) == ("r", 5)


def test_a_price_that_names_no_region_stands_for_itself():
    assert only(joined(price("5", region="any"))).region == "any"


def test_the_dearer_of_two_equally_good_prices_wins():
    assert only(joined(price("5", source="b"), price("7", source="a"))).usd_per_hour == 7


def test_a_row_without_a_price_is_an_offering_without_one():
    assert only(joined(price(None))).usd_per_hour is None


def test_a_known_price_wins_over_a_newer_row_without_one():
    assert only(joined(price("5", date="2024-01-01"), price(None))).usd_per_hour == 5


def test_a_users_row_without_a_price_takes_a_published_price_away():
    assert only(joined(price("5"), own=(price(None),))).usd_per_hour is None


def test_an_empty_price_of_a_csv_file_is_none_and_zero_is_a_fault():
    row = {"provider": "p", "instanceType": "m", "region": "r", "capacityType": "spot", "source": "x"}
    assert Price.model_validate({**row, "usdPerHour": ""}).usd_per_hour is None
    with pytest.raises(ValueError, match="greater than 0"):
        Price.model_validate({**row, "usdPerHour": "0"})


def test_zones_are_combined_by_their_median():
    zones = [
        price(usd, capacity_type="spot", zone=zone) for zone, usd in (("a", "1"), ("b", "2"), ("c", "6"), ("d", "4"))
    ]
    offering = only(joined(*zones))
    assert offering.usd_per_hour == 3
    assert offering.price_source == "x (median of a, b, c, d)"


def test_a_spot_price_that_is_the_on_demand_price_is_no_market():
    spot = [price(usd, capacity_type="spot", zone=zone) for zone, usd in (("a", "10"), ("b", "2"))]
    result = joined(price("10"), *spot)
    assert {row.capacity_type: row.usd_per_hour for row in result.offerings} == {"on-demand": 10, "spot": 2}
    assert [(row.kind, row.id) for row in result.exclusions] == [("price", "p/m/r/a/spot")]


def test_prices_without_a_market_are_named_in_a_fixed_order():
    spot = [
        price(usd, capacity_type="spot", date=f"2026-0{month}") for usd in ("10", "11", "12") for month in (1, 2, 3)
    ]
    results = [joined(price("10"), *random.Random(seed).sample(spot, len(spot))) for seed in range(5)]
    assert all(result == results[0] for result in results)
    assert len(results[0].exclusions) == 9


def test_zones_without_a_market_are_named():
    named = [row.id for row in CATALOG.exclusions if row.kind == "price"]
    assert len(named) == 33
    assert [name for name in named if "/us-east-1/" in name or not name.startswith("aws/")] == [
        "aws/p5.48xlarge/us-east-1/use1-az1/spot",
        "aws/p5.48xlarge/us-east-1/use1-az4/spot",
        "aws/p5.4xlarge/us-east-1/use1-az3/spot",
        "runpod/1x_A100-80GB_SECURE/US/spot",
        "vast/1x RTX 4090/Vietnam/spot",
    ]


def test_the_median_of_real_zones():
    (offering,) = (o for o in offerings("p5.48xlarge") if (o.region, o.capacity_type) == ("us-east-1", "spot"))
    assert offering.usd_per_hour == Decimal("18.42175")
    assert offering.price_date == "2026-07"
    assert offering.price_source.endswith("(median of use1-az2, use1-az3, use1-az5, use1-az6)")


def test_a_local_zone_is_a_place_of_its_own():
    """Its spot price once counted in the median of its region, whose subnets never reach it."""
    places = {offer.region: offer.local_zone_of for offer in offerings("p5.48xlarge")}
    assert places["us-east-1-atl-2"] == "us-east-1"
    assert {region for region, home in places.items() if home} == {"us-east-1-atl-2"}
    homes = {(zone.name, zone.region) for row in ROWS.providers for zone in row.local_zones}
    assert homes == {(o.region, o.local_zone_of) for o in CATALOG.offerings if o.local_zone_of}


def test_spot_is_never_dearer_than_on_demand():
    on_demand = {
        (o.provider, o.instance_type.name, o.region): o.usd_per_hour
        for o in CATALOG.offerings
        if o.capacity_type == "on-demand"
    }
    for offering in CATALOG.offerings:
        key = (offering.provider, offering.instance_type.name, offering.region)
        if offering.capacity_type == "spot" and key in on_demand:
            assert offering.usd_per_hour < on_demand[key]


def test_reserved_prices_say_their_term():
    assert {row.term for row in CATALOG.offerings if row.capacity_type == "reserved"} == {"3y-all-upfront"}


def test_the_users_own_price_wins_over_a_newer_and_more_exact_one():
    offering = only(joined(price("9", date="2030-01-01"), own=[price("8", region="any", date="")]))
    assert (offering.region, offering.usd_per_hour) == ("r", 8)


def test_memory_tells_accelerators_of_one_name_apart():
    small, large = (CARD.model_copy(update={"id": i, "ec2_memory_mib": mib}) for i, mib in (("small", 1), ("large", 2)))
    alias = GpuAlias(provider="p", gpu="Card", accelerators=("small", "large"))
    machine = MACHINE.model_copy(update={"gpu_memory_mib": 2})
    result = joined(price("1"), machine=machine, accelerators=(small, large), aliases=(alias,))
    assert only(result).accelerator == "large"


def test_the_most_exact_alias_wins():
    cards = [CARD.model_copy(update={"id": name, "name": name}) for name in ("a", "b", "c")]
    aliases = [
        GpuAlias(provider="*", gpu="Card", accelerators=("a",)),
        GpuAlias(provider="p", gpu="Card", accelerators=("b",)),
        GpuAlias(provider="p", gpu="Card", instance_type="m", accelerators=("c",)),
    ]
    found = [only(joined(price("1"), accelerators=cards, aliases=aliases[:count])).accelerator for count in (1, 2, 3)]
    assert found == ["a", "b", "c"]


def test_an_unknown_gpu_is_a_reason():
    (exclusion,) = joined(price("1"), machine=MACHINE.model_copy(update={"gpu": "Other"})).exclusions
    assert exclusion.reason == "Other: not known to be one accelerator of the catalog"


@given(st.integers(min_value=0, max_value=2**32))  # not the draws themselves: there are too many to shrink
@settings(max_examples=examples(15), deadline=None)
def test_the_order_of_rows_does_not_matter(seed: int):
    rng = random.Random(seed)

    def shuffled(rows):
        return tuple(rng.sample(rows, len(rows)))

    other = replace(
        ROWS,
        accelerators=shuffled(ROWS.accelerators),
        instance_types=shuffled(ROWS.instance_types),
        gpu_aliases=shuffled(ROWS.gpu_aliases),
        prices=shuffled(ROWS.prices),
        models=shuffled(ROWS.models),
        releases=shuffled(ROWS.releases),
        providers=shuffled(ROWS.providers),
    )
    assert catalog_of(other) == CATALOG


PRICES = st.builds(
    price,
    st.sampled_from(["1", "2", "3.5", "8"]),
    capacity_type=st.sampled_from(["on-demand", "spot", "reserved"]),
    region=st.sampled_from(["any", "r", "s"]),
    zone=st.sampled_from(["", "a", "b"]),
    date=st.sampled_from(["", "2026-01", "2026-01-01", "2026-02"]),
    source=st.sampled_from(["x", "y"]),
    term=st.sampled_from(["", "1y"]),
)


@given(st.lists(PRICES, min_size=1), st.lists(PRICES, max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=examples(100), deadline=None)
def test_any_prices_give_one_offering_each(prices, own, rng):
    result = joined(*prices, own=own)
    assert joined(*rng.sample(prices, len(prices)), own=rng.sample(own, len(own))) == result
    keys = [(row.region, row.capacity_type) for row in result.offerings]
    assert keys == sorted(set(keys))
    for row in result.offerings:
        amounts = [p.usd_per_hour for p in (*prices, *own) if p.capacity_type == row.capacity_type]
        assert min(amounts) <= row.usd_per_hour <= max(amounts)
