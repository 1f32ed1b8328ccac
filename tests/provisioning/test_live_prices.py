"""Prices of AWS of today, on answers in the shapes of its own service models: botocore's Stubber refuses any other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.stub import ANY, Stubber

from agentgpu_iac.catalog.live import Update
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.cli import update
from agentgpu_iac.errors import OutsideFailure
from agentgpu_iac.provisioning.aws import live_prices
from agentgpu_iac.provisioning.aws.live_prices import Places, _Clients, known_places, read

NOW = "2026-11-27T09:00:00+00:00"
PLACES = Places(regions=("us-east-1", "us-west-2"), local_zones={"us-west-2-lax-1": "us-west-2"})


def offer(machine: str, region: str, usd: str, unit: str = "Hrs") -> str:
    """An entry of GetProducts' PriceList: JSON in a string, as the service answers it."""
    rate = {
        "unit": unit,
        "endRange": "Inf",
        "description": f"${usd} per On Demand Linux {machine} Instance Hour",
        "appliesTo": [],
        "rateCode": "SKU1.JRTCKXETXF.6YS6EN2CT7",
        "beginRange": "0",
        "pricePerUnit": {"USD": usd},
    }
    term = {
        "priceDimensions": {"SKU1.JRTCKXETXF.6YS6EN2CT7": rate},
        "sku": "SKU1",
        "effectiveDate": "2026-11-01T00:00:00Z",
        "offerTermCode": "JRTCKXETXF",
        "termAttributes": {},
    }
    attributes = {
        "instanceType": machine,
        "regionCode": region,
        "locationType": "AWS Region",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    product = {"productFamily": "Compute Instance", "attributes": attributes, "sku": "SKU1"}
    terms = {"OnDemand": {"SKU1.JRTCKXETXF": term}}
    return json.dumps({"product": product, "serviceCode": "AmazonEC2", "terms": terms, "version": "20261120"})


def spot(machine: str, zone: str, usd: str, hour: int = 8) -> dict[str, Any]:
    return {
        "AvailabilityZone": zone,
        "InstanceType": machine,
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": usd,
        "Timestamp": datetime(2026, 11, 27, hour, tzinfo=UTC),
    }


@cache
def session() -> botocore.session.Session:
    """One for all accounts: it reads each service's model once."""
    return botocore.session.Session()


class Account:
    """Clients of botocore whose answers are set beforehand."""

    def __init__(self) -> None:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        self.pricing = session().create_client("pricing", region_name="us-east-1", **keys)
        self.ec2 = {region: session().create_client("ec2", region_name=region, **keys) for region in PLACES.regions}
        self.price_list = Stubber(self.pricing)
        self.history = {region: Stubber(client) for region, client in self.ec2.items()}

    def clients(self) -> _Clients:
        return _Clients(pricing=self.pricing, ec2=self.ec2.__getitem__)

    def offers(self, *pages: list[str]) -> None:
        for number, page in enumerate(pages):
            more = {"NextToken": f"page-{number + 1}"} if number + 1 < len(pages) else {}
            asked: dict[str, Any] = {"ServiceCode": "AmazonEC2", "Filters": ANY}
            if number:
                asked["NextToken"] = f"page-{number}"
            self.price_list.add_response("get_products", {"FormatVersion": "aws_v1", "PriceList": page, **more}, asked)

    def spots(self, region: str, *rows: dict[str, Any]) -> None:
        asked = {"InstanceTypes": ANY, "ProductDescriptions": ["Linux/UNIX"], "StartTime": NOW}
        self.history[region].add_response(
            "describe_spot_price_history", {"SpotPriceHistory": list(rows), "NextToken": ""}, asked
        )


@pytest.fixture
def account() -> Iterator[Account]:
    made = Account()
    with ExitStack() as stack:
        for stubber in (made.price_list, *made.history.values()):
            stack.enter_context(stubber)
        yield made


def rows(made: Update) -> dict[tuple[str, str, str], Decimal | None]:
    return {(row.region, row.zone, row.capacity_type): row.usd_per_hour for row in made.overlay.prices}


def test_on_demand_by_region_and_spot_by_zone(account: Account) -> None:
    account.offers(
        [offer("g6.xlarge", "us-east-1", "0.8048000000")],
        [offer("g6.xlarge", "us-west-2", "0.81"), offer("g6.xlarge", "us-west-2-lax-1", "0.97")],
    )
    account.spots("us-east-1", spot("g6.xlarge", "us-east-1a", "0.4100"), spot("g6.xlarge", "us-east-1b", "0.30"))
    account.spots("us-west-2", spot("g6.xlarge", "us-west-2-lax-1a", "0.50"))
    made = read(account.clients(), PLACES, ["g6.xlarge"], NOW)
    assert rows(made) == {
        ("us-east-1", "", "on-demand"): Decimal("0.8048"),
        ("us-west-2", "", "on-demand"): Decimal("0.81"),
        ("us-west-2-lax-1", "", "on-demand"): Decimal("0.97"),
        ("us-east-1", "us-east-1a", "spot"): Decimal("0.41"),
        ("us-east-1", "us-east-1b", "spot"): Decimal("0.3"),
        ("us-west-2-lax-1", "us-west-2-lax-1a", "spot"): Decimal("0.5"),
    }
    assert {row.date for row in made.overlay.prices} == {"2026-11-27"}
    assert {row.source for row in made.overlay.prices} == {
        "AWS Price List (GetProducts), read 2026-11-27",
        "EC2 DescribeSpotPriceHistory, read 2026-11-27",
    }
    assert (made.offers_used, made.not_usable, made.not_readable) == (6, 0, ())


def test_each_machine_is_asked_for_as_a_plain_linux_machine(account: Account) -> None:
    plain = {
        "instanceType": "g6.xlarge",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in plain.items()]
    answer = {"FormatVersion": "aws_v1", "PriceList": [offer("g6.xlarge", "us-east-1", "0.80")]}
    account.price_list.add_response("get_products", answer, {"ServiceCode": "AmazonEC2", "Filters": filters})
    for region in PLACES.regions:
        account.spots(region)
    assert read(account.clients(), PLACES, ["g6.xlarge"], NOW).offers_used == 1


def test_the_newest_price_of_a_zone_counts_and_one_that_saves_nothing_is_no_market(account: Account) -> None:
    account.offers([offer("g6.xlarge", "us-east-1", "0.80")])
    account.spots(
        "us-east-1",
        spot("g6.xlarge", "us-east-1a", "0.40", hour=7),
        spot("g6.xlarge", "us-east-1a", "0.45", hour=8),
        spot("g6.xlarge", "us-east-1a", "0.30", hour=6),
        spot("g6.xlarge", "us-east-1b", "0.80"),
        spot("g6.xlarge", "us-east-1-bos-1a", "0.10"),  # a local zone that the catalog does not know
    )
    account.spots("us-west-2")
    made = read(account.clients(), PLACES, ["g6.xlarge"], NOW)
    assert rows(made) == {
        ("us-east-1", "", "on-demand"): Decimal("0.8"),
        ("us-east-1", "us-east-1a", "spot"): Decimal("0.45"),
    }
    assert made.not_usable == 1


def test_a_region_that_does_not_answer_is_told_and_left_out(account: Account) -> None:
    account.offers([offer("g6.xlarge", "us-east-1", "0.80"), offer("g6.xlarge", "us-west-2", "0")])
    account.spots("us-east-1", spot("g6.xlarge", "us-east-1a", "0.40"))
    account.history["us-west-2"].add_client_error("describe_spot_price_history", "AuthFailure", "not opted in")
    made = read(account.clients(), PLACES, ["g6.xlarge"], NOW)
    assert len(rows(made)) == 2
    (said,) = made.not_readable
    assert said.startswith("spot in us-west-2: ")
    assert "not opted in" in said


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"product": {}}',
        offer("g6.xlarge", "us-east-1", "a lot"),
        offer("g6.xlarge", "us-east-1", "1").replace('OnDemand"', 'Other"'),
    ],
)
def test_an_offer_of_another_shape_is_told_and_not_guessed(account: Account, text: str) -> None:
    account.offers([text, offer("g6.xlarge", "us-west-2", "0.80")])
    for region in PLACES.regions:
        account.spots(region)
    made = read(account.clients(), PLACES, ["g6.xlarge"], NOW)
    assert rows(made) == {("us-west-2", "", "on-demand"): Decimal("0.8")}
    assert len(made.not_readable) == 1


def test_without_the_price_list_nothing_is_made(account: Account) -> None:
    account.price_list.add_client_error("get_products", "AccessDeniedException", "no pricing:GetProducts")
    with pytest.raises(OutsideFailure, match=r"the Price List did not answer.*pricing:GetProducts"):
        read(account.clients(), PLACES, ["g6.xlarge"], NOW)


def test_without_credentials_it_says_which_are_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(OutsideFailure, match=r"no credentials were found.*ec2:DescribeSpotPriceHistory"):
        live_prices.ask(None, NOW)


def test_the_catalogs_regions_are_asked_and_local_zones_are_places() -> None:
    places = known_places()
    assert len(places.regions) == 23
    assert places.place_of_zone("us-west-2a", "us-west-2") == "us-west-2"
    assert places.place_of_zone("us-west-2-lax-1b", "us-west-2") == "us-west-2-lax-1"
    assert places.place_of_zone("us-west-2-den-1a", "us-west-2") is None


def test_the_overlay_prices_plans(account: Account, tmp_path: Path) -> None:
    account.offers([offer("g6.xlarge", "us-east-1", "0.7000")])
    account.spots("us-east-1", spot("g6.xlarge", "us-east-1a", "0.20"), spot("g6.xlarge", "us-east-1b", "0.30"))
    account.spots("us-west-2")
    path = tmp_path / "prices.yaml"
    made = read(account.clients(), PLACES, ["g6.xlarge"], NOW)
    update.write(made, path)
    assert path.read_text().startswith("# Made by agentgpu catalog update --provider aws; the next update")
    assert yaml.safe_load(path.read_text())["prices"][0]["date"] == "2026-11-27"
    catalog = load_catalog(path)
    sold = {
        row.capacity_type: (row.usd_per_hour, row.price_date)
        for row in catalog.offerings
        if (row.instance_type.name, row.region) == ("g6.xlarge", "us-east-1") and row.capacity_type != "reserved"
    }
    assert sold == {"on-demand": (Decimal("0.7"), "2026-11-27"), "spot": (Decimal("0.25"), "2026-11-27")}
    assert catalog.newest_date == "2026-11-27"
