"""Blocks as plain text and as Markdown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgpu_iac.review.blocks import Block, Commands, Folded, Heading, Listing, Paragraph, Table, markdown, plain_text

TABLE = Table(columns=("name", "USD"), rows=(("a", "1.00"), ("longer", "1,000.00")), right=frozenset({1}))
EACH: tuple[Block, ...] = (
    Paragraph(text="First."),
    Heading(text="Cost"),
    TABLE,
    Listing(items=("one", "two")),
    Commands(lines=("agentgpu plan a.yaml", "agentgpu explain a.yaml")),
)


def test_plain_text() -> None:
    assert plain_text(EACH) == (
        "First.\n"
        "\n"
        "Cost\n"
        "----\n"
        "name         USD\n"
        "------  --------\n"
        "a           1.00\n"
        "longer  1,000.00\n"
        "- one\n"
        "- two\n"
        "  $ agentgpu plan a.yaml\n"
        "  $ agentgpu explain a.yaml\n"
    )


def test_markdown() -> None:
    assert markdown(EACH) == (
        "First.\n"
        "\n"
        "## Cost\n"
        "\n"
        "| name | USD |\n"
        "| --- | ---: |\n"
        "| a | 1.00 |\n"
        "| longer | 1,000.00 |\n"
        "\n"
        "- one\n"
        "- two\n"
        "\n"
        "```sh\n"
        "agentgpu plan a.yaml\n"
        "agentgpu explain a.yaml\n"
        "```\n"
    )


def test_nothing_leads_a_text_that_begins_with_a_heading() -> None:
    assert plain_text((Heading(text="A"), Paragraph(text="b"))) == "A\n-\nb\n"
    assert markdown((Heading(text="A"), Paragraph(text="b"))) == "## A\n\nb\n"


@pytest.mark.parametrize("as_text", [plain_text, markdown])
def test_a_table_without_rows_keeps_its_head(as_text: object) -> None:
    assert callable(as_text)
    assert as_text((Table(columns=("a", "bc"), rows=()),)).startswith(("a  bc\n-  --", "| a | bc |\n| --- | --- |"))


def test_markdown_keeps_what_it_would_read_as_its_own_in_code() -> None:
    nasty = "<script>|</script>"
    assert markdown((Paragraph(text=nasty),)) == "`<script>|</script>`\n"
    assert markdown((Heading(text=nasty),)) == "## `<script>|</script>`\n"
    assert markdown((Listing(items=(nasty,)),)) == "- `<script>|</script>`\n"
    assert markdown((Table(columns=("a|b", "c"), rows=((nasty, ""),)),)) == (
        "| `a`&#124;`b` | c |\n| --- | --- |\n| `<script>`&#124;`</script>` |  |\n"
    )
    assert markdown((Table(columns=("a", "c"), rows=(("0.9", "0.9"),), exact=frozenset({1})),)).endswith(
        "| 0.9 | `0.9` |\n"
    )
    assert markdown((Commands(lines=("a | b < c",)),)) == "```sh\na | b < c\n```\n"


def test_what_is_folded_is_open_on_a_terminal() -> None:
    fold = Folded(summary="More", blocks=(Paragraph(text="Second."),))
    assert plain_text((Paragraph(text="First."), fold)) == "First.\n\nMore\n----\nSecond.\n"
    assert markdown((fold,)) == "<details><summary>More</summary>\n\nSecond.\n\n</details>\n"


def test_no_text_of_ours_has_a_line_that_a_value_began() -> None:
    assert plain_text((Paragraph(text="a\n# b\x1b[2J"), TABLE)).splitlines()[0] == "a␊# b␛[2J"


def test_plain_text_escapes_nothing() -> None:
    assert plain_text((Paragraph(text="<a>|[b]"),)) == "<a>|[b]\n"


words = st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    width = draw(st.integers(1, 5))
    row = st.tuples(*[words] * width)
    right = draw(st.frozensets(st.integers(0, width - 1)))
    return Table(columns=draw(row), rows=tuple(draw(st.lists(row, max_size=6))), right=right)


@given(tables())
def test_columns_stand_under_each_other(table: Table) -> None:
    head, rule, *rows = plain_text((table,)).splitlines()
    assert len(rows) == len(table.rows)
    ends = [end for end, _ in enumerate(rule + " ") if (rule + " ")[end] == " " and rule[end - 1] == "-"]
    starts = [0, *(end + 2 for end in ends[:-1])]
    for line, cells in zip([head, *rows], [table.columns, *table.rows], strict=True):
        cut = [line[start:end] for start, end in zip(starts, ends, strict=True)]
        for position, (piece, cell) in enumerate(zip(cut, cells, strict=True)):
            width = ends[position] - starts[position]
            assert piece.ljust(width) == (cell.rjust(width) if position in table.right else cell.ljust(width))
        assert line == line.rstrip()


@given(tables())
def test_markdown_tables_have_as_many_cells_in_every_line(table: Table) -> None:
    for line in markdown((table,)).splitlines():
        assert line.count("|") == len(table.columns) + 1
