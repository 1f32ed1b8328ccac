"""Tables of kernels: a card has its own, or those of the card that is nearest in kind."""

from __future__ import annotations

import pytest

from agentgpu_iac.catalog.kernels import with_kernels
from agentgpu_iac.catalog.packaged import packaged_rows
from agentgpu_iac.catalog.store import load_catalog

CATALOG = load_catalog()
MEASURED = {row.accelerator for row in packaged_rows().kernels}


@pytest.mark.parametrize(
    ("card", "measured"),
    [
        ("l40s", "l40s"),
        ("h200-sxm", "h200-sxm"),
        ("a100-40gb-pcie", "a100-80gb-sxm"),
        ("l4", "l40s"),
        ("a10g", "l40s"),  # 8.6 is nearer to 8.9 than to 8.0, in memory too
        ("rtx-a6000", "l40s"),
        ("rtx-4090", "l40s"),
        ("h100-pcie", "h100-sxm"),
        ("gh200-96gb", "h100-sxm"),
        ("h200-nvl", "h200-sxm"),
        ("rtx-5090", "rtx-pro-6000-blackwell-server"),
        ("rtx-pro-4500-blackwell-server", "rtx-pro-6000-blackwell-server"),
    ],
)
def test_the_card_whose_tables_hold(card, measured):
    assert {table.accelerator for table in CATALOG.accelerator(card).kernels} == {measured}


def test_every_measured_card_is_in_the_catalog():
    assert {row.id for row in CATALOG.accelerators} >= MEASURED


def test_every_card_has_some_engine_s_tables():
    assert [row.id for row in CATALOG.accelerators if not row.kernels] == []


def test_without_tables_cards_stay_as_they_are():
    rows = packaged_rows().accelerators
    assert with_kernels(rows, ()) == rows


def test_a_launch_is_microseconds_and_bytes_are_read_at_most_half_again_as_fast_as_the_data_sheet_says():
    """Above 1 is a fit's: routed tokens choose fewer experts than chance would."""
    for row in packaged_rows().kernels:
        for kernel in (*row.matrices, *row.experts):
            assert 0.5 < kernel.launch_us < 100, (row.accelerator, row.engine, kernel)
        for matrix in row.matrices:
            assert 0.3 < matrix.bandwidth_share <= 1 and 0.25 < matrix.tflops_share <= 1
