"""Whatever words are put into a review, a real reader of Markdown finds those words there and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from agentgpu_iac.characters import visible
from agentgpu_iac.review.blocks import Block, Commands, Folded, Heading, Listing, Paragraph, Table, markdown
from agentgpu_iac.review.commonmark import code, fenced, inline

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

HOSTILE = (
    "# owned",
    "a\n# owned",
    "\r\n\r\n## Approved",
    "![x](https://evil.example/a.png)",
    "[approve](https://evil.example)",
    "<script>alert(1)</script>",
    "<img src=x onerror=y>",
    "<!-- -->",
    "<https://evil.example>",
    "https://evil.example/a_b_c",
    "www.evil.example",
    "mail@evil.example",
    "@acme/owners please merge",
    "fixes #12 and !34",
    "acme/stacks#12",
    "GH-12",
    "0123abcdef0123abcdef",
    ":tada:",
    "a | b | c",
    "a\\| b",
    "\\",
    "`",
    "``` \n code",
    "a`b``c",
    "` `",
    "**bold** _it_ ~~gone~~",
    "1. one",
    "1) one",
    "- item",
    "+ item",
    "> quoted",
    "===",
    "---",
    "    indented",
    "a  ",
    "a\\",
    "&lt;b&gt; &#35;",
    "/close",
    "$x^2$ and $y",
    "$x and y$",
    "\x00\x1b[31mred",
    "\u202eevil",
    "a\u2028# owned",
    "\u00a0",
    "\ud800",
    "[^1]: note",
    "[x]: https://evil.example",
    "[ ] done",
    "| a |\n| - |",
    "</details>",
    "'a' \"b\" (c)",
)
texts = st.one_of(
    st.text(max_size=30),
    st.text("ab1 \n#*_`[]()!<>|\\@&$~:/.-+=", max_size=30),
    st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3).map(" ".join),
)


def inner(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type == "inline":
            yield from token.children or ()


def read(source: str, *blocks: str) -> str:
    """The words of a document that may consist of these blocks and of text and code alone."""
    tokens = READER.parse(source)
    assert {token.type for token in tokens} <= {"inline", *blocks}, source
    children = [*inner(tokens)]
    assert {token.type for token in children} <= {"text", "code_inline", "text_special"}, source
    return "".join(token.content for token in children)


def plain(source: str) -> str:
    """What stands outside code spans, where sites look for mentions and references."""
    return " ".join(token.content for token in inner(READER.parse(source)) if token.type != "code_inline")


@given(texts)
def test_a_text_reads_as_it_is(text: str) -> None:
    assert read(inline(text), "paragraph_open", "paragraph_close") == visible(text)
    assert read(code(text), "paragraph_open", "paragraph_close") == visible(text)


TABLE = tuple(f"{part}_{side}" for part in ("table", "thead", "tbody", "tr", "th", "td") for side in ("open", "close"))


@given(texts, texts, texts)
@example("a\\|b", "|", "\\")
def test_a_cell_reads_as_it_is(head: str, first: str, second: str) -> None:
    source = markdown((Table(columns=(head, "b"), rows=((first, second),)),))
    tokens = READER.parse(source)
    assert {token.type for token in tokens} <= {"inline", *TABLE}, source
    cells = ["".join(child.content for child in token.children or ()) for token in tokens if token.type == "inline"]
    assert cells == [visible(head), "b", visible(first), visible(second)]
    assert {child.type for child in inner(tokens)} <= {"text", "code_inline", "text_special"}


@given(texts)
def test_a_heading_and_an_item_read_as_they_are(text: str) -> None:
    assert read(markdown((Heading(text=text),)), "heading_open", "heading_close") == visible(text)
    lists = [f"{part}_{side}" for part in ("bullet_list", "list_item", "paragraph") for side in ("open", "close")]
    assert read(markdown((Listing(items=(text,)),)), *lists) == visible(text)


@given(texts)
def test_a_command_stays_in_its_block(text: str) -> None:
    (token,) = READER.parse(fenced((text,), "sh"))
    assert (token.type, token.info, token.content) == ("fence", "sh", f"{visible(text)}\n")


REFERENCES = re.compile(
    r"[@#!~%&^][\w\[]|\bGH-\d|www\.|://|\b[0-9a-f]{7,64}\b(?<=\d)|:[\w+-]+:|(?:^|\n)/\w|\$\w.*\w\$|\w@\w", re.IGNORECASE
)


@given(texts)
def test_what_a_site_would_link_or_notify_stands_in_code(text: str) -> None:
    found = REFERENCES.search(plain(inline(text)))
    assert found is None, found


@given(texts)
def test_a_fold_cannot_be_closed_from_within(text: str) -> None:
    blocks: tuple[Block, ...] = (Paragraph(text=text), Table(columns=("a",), rows=((text,),)), Commands(lines=(text,)))
    source = markdown((Folded(summary="Agents", blocks=blocks),))
    assert [token.content.strip() for token in READER.parse(source) if token.type == "html_block"] == [
        "<details><summary>Agents</summary>",
        "</details>",
    ]
    assert not [token for token in inner(READER.parse(source)) if token.type == "html_inline"]


def test_ordinary_sentences_stay_ordinary() -> None:
    sentence = "support: 192 of 200 ms at p95 (96%), USD 1,339.92 a month; two replicas, on-demand."
    assert inline(sentence) == sentence
    assert inline("[unpinned] support: take it") == "`[unpinned]` support: take it"
    assert inline("5 -> 50") == "5 -> 50"


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("set `a_b`, then go", "set `` `a_b` ``, then go"),
        ("from a_b (c_d), e_f.", "from `a_b` (`c_d`), `e_f`."),
        ('take "meta-llama/Llama_3": it is there', 'take "`meta-llama/Llama_3`": it is there'),
        ("call f_x(a) or (g_y(b)).", "call `f_x(a)` or (`g_y(b)`)."),
        ("say name_a='x' now", "say `name_a='x'` now"),
        ("a_b c_d", "`a_b c_d`"),
    ],
)
def test_the_sentences_punctuation_stands_outside_of_code(sentence: str, shown: str) -> None:
    """Once ``a_b,`` was code with its comma, so that who copied the value copied the comma too."""
    assert inline(sentence) == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_one_by_one(text: str) -> None:
    assert read(inline(text), "paragraph_open", "paragraph_close") == visible(text)


def test_what_cannot_be_seen_is_spelled_out() -> None:
    assert visible("a\nb\x1b\u202e\u200b\u00a0\x7f") == "a␊b␛⟨U+202E⟩⟨U+200B⟩⟨U+00A0⟩␡"
    assert visible("naïve 模型") == "naïve 模型"
