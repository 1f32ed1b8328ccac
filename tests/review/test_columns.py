"""Text in columns: what gives way, and that nothing is ever wider than its room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgpu_iac.review.blocks import Block, Commands, Heading, Listing, Paragraph, Table, laid_out, plain_text
from agentgpu_iac.review.columns import cut, fitted, padded, pieces, width_of, wrapped

WORDS = st.text("ab 漢é\u0301-", max_size=30)


@pytest.mark.parametrize(
    ("room", "widths"), [(100, (4, 19)), (25, (4, 19)), (24, (4, 18)), (14, (4, 8)), (11, (4, 5)), (8, (3, 3))]
)
def test_the_widest_column_gives_way_first_and_words_break_last(room: int, widths: tuple[int, ...]) -> None:
    assert fitted(("a", "b"), (("name", "some words of text."),), room).widths == widths


def test_columns_go_in_their_order_before_words_break() -> None:
    columns, rows = ("name", "note", "price"), (("something", "alongestnote", "1,000.00"),)
    assert fitted(columns, rows, 40, drop=(1, 2)).shown == (0, 1, 2)
    assert fitted(columns, rows, 31, drop=(1, 2)).shown == (0, 2)
    assert fitted(columns, rows, 12, drop=(1, 2)).shown == (0,)


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("rtx-pro-6000-blackwell", ["rtx-", "pro-", "6000-", "blackwell"]),
        ("Qwen/Qwen3-14B", ["Qwen/", "Qwen3-14B"]),
        ("my-agents-baseline-g7e-2xlarge-od", ["my-", "agents-", "baseline-", "g7e-", "2xlarge-", "od"]),
        ("models[acme/a].revision", ["models", "[acme/", "a].", "revision"]),
        ("memoryReserveRatio", ["memory", "Reserve", "Ratio"]),
        *((whole, [whole]) for whole in ("137,387", "2026-07-20", "2,421.45", "g6e.12xlarge", "0-2", "±45%", "GiB")),
    ],
)
def test_a_name_breaks_between_its_words_and_a_number_nowhere(word: str, parts: list[str]) -> None:
    """Once a table of 80 columns said ``g7e.2xlarg`` and ``2026-07``."""
    assert pieces(word) == parts
    assert wrapped(word, max(map(width_of, parts)))[0].startswith(parts[0])
    assert fitted(("a",), ((word,),), 1 + max(map(width_of, parts))).widths[0] >= max(map(width_of, parts))


def test_a_column_that_may_be_cut_ends_in_an_ellipsis_and_one_that_is_whole_does_not() -> None:
    table = Table(
        columns=("model", "on"),
        rows=(("a-model-with-a-long-name", "1 x l40s"),),
        cuttable=frozenset({0}),
        whole=frozenset({1}),
    )
    assert plain_text((table,), 22).splitlines()[-1] == "a-model-wit…  1 x l40s"


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=4), st.integers(min_value=9, max_value=60))
def test_no_table_is_wider_than_its_room(rows: list[tuple[str, str, str]], room: int) -> None:
    table = Table(columns=("a", "b", "c"), rows=tuple(rows), right=frozenset({1}), cuttable=frozenset({2}), drop=(1,))
    blocks: tuple[Block, ...] = (
        table,
        Listing(items=rows[0]),
        Paragraph(text=" ".join(rows[0])),
        Heading(text=rows[0][0]),
    )
    for line in laid_out(blocks, room):
        assert width_of("".join(span.text for span in line)) <= room


@given(WORDS, st.integers(min_value=2, max_value=40))
def test_wrapping_keeps_every_character(text: str, width: int) -> None:
    found = wrapped(text, width)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert width_of(cut(text, width)) <= width


def test_what_moves_a_cursor_is_spelt_out() -> None:
    """A model path of the user's must not colour or clear the terminal of whoever reviews it."""
    hostile = "Qwen\x1b[2J\r\u202e\x07"
    blocks = (Table(columns=("m",), rows=((hostile,),)), Commands(lines=(hostile,)), Heading(text=hostile))
    assert not set(plain_text(blocks)) & {"\x1b", "\r", "\u202e", "\x07"}


def test_wide_characters_take_two_columns() -> None:
    assert (width_of("漢字"), width_of("e\u0301"), width_of("abc")) == (4, 1, 3)
    assert padded("漢", 4, right=True) == "  漢"
