"""The table of promises on the page on security: a row each, a cell for each target, and a test behind each cell."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from agentgpu_iac.spec.vocabulary import Target

ROOT = Path(__file__).resolve().parents[2]
FIREWALL = "tests/e2e/firewall/test_firewall.py"
POLICY = "tests/rendering/test_network_policy.py"
HELD_BY: dict[tuple[str, str], tuple[str, str]] = {
    ("engines open no connection", "policy"): (POLICY, "def test_engines_reach_nothing"),
    ("engines open no connection", "firewall"): (FIREWALL, "def test_an_engine_goes_nowhere"),
    ("what fetches models reaches public addresses by HTTPS, and private ones for S3 alone", "policy"): (
        POLICY,
        "def test_fillers_reach_the_hub_alone",
    ),
    ("what fetches models reaches public addresses by HTTPS, and private ones for S3 alone", "firewall"): (
        FIREWALL,
        "def test_only_what_fetches_models_goes_out_and_only_to_public_addresses",
    ),
    ("no container asks the metadata service of a cloud", "policy"): (POLICY, "IMDS"),
    ("no container asks the metadata service of a cloud", "firewall"): (
        FIREWALL,
        "def test_containers_in_the_machine_s_own_network_ask_no_cloud",
    ),
    ("only who is named reaches an engine", "policy"): (
        POLICY,
        "def test_engines_are_reached_by_callers_and_monitoring_alone",
    ),
    ("only who is named reaches an engine", "firewall"): (FIREWALL, "def test_who_is_named_comes_in_and_nobody_else"),
    ("secrets stand in no rendered file", "named"): (
        "tests/rendering/test_hosts.py",
        "def test_secrets_are_named_and_never_written",
    ),
    ("secrets stand in no user data", "named"): (
        "tests/rendering/test_hosts.py",
        "def test_secrets_are_named_and_never_written",
    ),
    ("secrets stand in no user data", "by SSH"): (
        "tests/provisioning/spheron/test_secrets_by_ssh.py",
        "def test_no_machine_is_made_with_a_secret_and_each_is_brought_its_own",
    ),
    ("a stack takes no namespace of somebody else", "refused"): (
        "tests/spec/test_namespaces.py",
        "def test_namespaces_of_others_are_refused",
    ),
    ("a namespace that is there already is told before it is taken over", "`status`"): (
        "tests/operations/test_report.py",
        "def test_a_namespace_of_somebody_else_is_told_before_anything_is_applied",
    ),
    ("a namespace that is there already is told before it is taken over", "`status`, `preview`"): (
        "tests/provisioning/test_kubernetes.py",
        "def test_a_namespace_that_would_be_taken_over_is_told_in_a_preview",
    ),
    ("a disk that holds anything is left alone", "`setup.sh`"): (
        "tests/rendering/test_disks.py",
        "def test_a_disk_is_blank_where_nothing_is_on_it_and_else_is_left_alone",
    ),
}
NOT_OURS = {"not promised", "no namespaces", "the node's own image", "yours", "SkyPilot's"}
"""Cells that promise nothing."""


def table() -> list[list[str]]:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    lines = text[text.index("## Promises by target") :].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [row for row in rows if not set(row[0]) <= {"-"}]


def test_every_target_has_a_column() -> None:
    head = table()[0]
    assert {cell.strip("`") for cell in head[1:]} == set(get_args(Target))


@pytest.mark.parametrize("row", table()[1:], ids=lambda row: row[0])
def test_every_cell_says_who_holds_it_or_that_nobody_does(row: list[str]) -> None:
    for cell in row[1:]:
        if cell in NOT_OURS:
            continue
        file, words = HELD_BY[row[0], cell]
        assert words in (ROOT / file).read_text(encoding="utf-8"), (row[0], cell)


def test_nothing_is_held_that_is_not_promised() -> None:
    assert set(HELD_BY) == {(row[0], cell) for row in table()[1:] for cell in row[1:]} - {
        (row[0], cell) for row in table()[1:] for cell in row[1:] if cell in NOT_OURS
    }
