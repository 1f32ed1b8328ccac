"""The rendered firewall of a machine, loaded into a kernel: who reaches whom."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentgpu_iac.plan.machine_paths import FIREWALL_RULES_FOLDER
from agentgpu_iac.rendering.render import render
from tests.e2e.firewall.network import (
    CALLER,
    CONTAINERS,
    MACHINE,
    METADATA,
    OUTSIDE,
    PRIVATE,
    PUBLIC,
    Network,
    Ways,
    may_make_namespaces,
    network,
)
from tests.plans import make_machines_plan

pytestmark = [
    pytest.mark.optional,
    pytest.mark.skipif(not may_make_namespaces(), reason="no right to make network namespaces"),
]
CALLERS_PORT, SSH = 10_000, 22
NAMES, PLAIN, TLS = 53, 80, 443


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("firewall")
    plan = make_machines_plan(callers=("203.0.113.9/32",), admins=("203.0.113.9/32",))
    text = next(file.content for file in render(plan) if file.path.endswith("/firewall.nft")).decode()
    rules = folder / "firewall.nft"
    (folder / "firewall.d").mkdir()
    rules.write_text(text.replace(FIREWALL_RULES_FOLDER, str(folder / "firewall.d")), encoding="utf-8")
    with network() as made:
        made.listen("outside", NAMES, PLAIN, TLS)
        made.listen("machine", SSH, 8000, CALLERS_PORT)
        for name in CONTAINERS:
            made.listen(name, 8000)
        before = made.reached("engine", ways(OUTSIDE))
        assert before == ways(OUTSIDE), "without the rules everything is open"
        made.load(rules)
        yield made


def ways(addresses: tuple[str, ...], ports: tuple[int, ...] = (NAMES, PLAIN, TLS)) -> Ways:
    return tuple((address, port) for address in addresses for port in ports)


def test_an_engine_goes_nowhere(wired: Network) -> None:
    assert wired.reached("engine", (*ways(OUTSIDE), *ways((MACHINE,), (SSH, 8000, CALLERS_PORT)))) == ()


def test_only_what_fetches_models_goes_out_and_only_to_public_addresses(wired: Network) -> None:
    reached = wired.reached("filler", (*ways(OUTSIDE), *ways((MACHINE,), (SSH, 8000, CALLERS_PORT))))
    assert {way for way in reached if way[1] != NAMES} == {(PUBLIC, TLS), (CALLER, TLS)}
    assert set(ways(OUTSIDE, (NAMES,))) <= set(reached), "a resolver may have any address"


@pytest.mark.parametrize("user", [101, 472, 65534])
def test_containers_in_the_machine_s_own_network_ask_no_cloud(wired: Network, user: int) -> None:
    clouds = (METADATA, "169.254.170.2", "100.100.100.200", "168.63.129.16")
    assert wired.reached("machine", ways((*clouds, PUBLIC)), user=user) == (*ways(clouds, (NAMES,)), *ways((PUBLIC,)))


def test_the_machine_itself_asks_its_cloud(wired: Network) -> None:
    assert wired.reached("machine", ways((METADATA,))) == ways((METADATA,))


def test_containers_of_others_keep_their_ways(wired: Network) -> None:
    assert wired.reached("other", ways((METADATA, PRIVATE))) == ways((METADATA, PRIVATE))
    assert wired.reached("outside", ways(("172.31.2.2",), (8000,)))


def test_nobody_comes_to_our_containers_but_the_machine(wired: Network) -> None:
    ours = ways(("172.31.0.2", "172.31.1.2"), (8000,))
    assert wired.reached("machine", ours) == ours
    for where, its_own in (("outside", 0), ("other", 0), ("filler", 1), ("engine", 1)):
        found = wired.reached(where, ours)
        assert len(found) <= its_own, where


def test_who_is_named_comes_in_and_nobody_else(wired: Network) -> None:
    doors = ways((MACHINE,), (SSH, 8000, CALLERS_PORT))
    assert wired.reached("outside", doors, source=CALLER) == ways((MACHINE,), (SSH, CALLERS_PORT))
    assert wired.reached("outside", doors, source=PUBLIC) == ()
