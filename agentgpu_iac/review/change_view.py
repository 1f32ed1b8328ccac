"""A difference for people: on a terminal whole, and as the comment of a pull request short, with what is long folded away.

What security must see comes first, then the money, why, what is promised, the engine's arguments, every other field, files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from agentgpu_iac.review.blocks import Block, Folded, Heading, Listing, Paragraph, Table, markdown
from agentgpu_iac.review.causes import Cause, Chain, Term
from agentgpu_iac.review.cost_view import thousand
from agentgpu_iac.review.diff import Change, FitChange, MoneyChange, PlanDiff, SecurityChange
from agentgpu_iac.units import counted

MOST_LINES: Final = 60
"""Lines of a comment: what a person reads in two minutes; what is folded away counts too."""
MOST_CHARACTERS: Final = 60_000
"""Characters of a comment: GitHub takes 65,536, and what is around it takes some."""
_MOST_VALUE: Final = 120
"""Characters of one value in a comment; a terminal shows it whole."""
_CHAIN_TERMS: Final = 7
"""Terms of a chain in one sentence; all of them are in the JSON."""
_TERMS_OF_A_CHAIN: Final = 14
"""Terms of a chain on a terminal, with their sums; the others are named."""


def diff_view(found: PlanDiff) -> tuple[Block, ...]:
    """The difference whole: what it costs before what it touches."""
    if says_nothing(found):
        return (Paragraph(text=SAME),)
    blocks: list[Block] = [Paragraph(text=" ".join(costs(found)))]
    for part in (
        security_blocks,
        why_blocks,
        money_blocks,
        fit_blocks,
        field_blocks,
        warning_blocks,
        file_blocks,
    ):
        blocks += part(found)
    return tuple(blocks)


SAME: Final = "The two plans are the same."


def security_blocks(found: PlanDiff) -> Iterator[Block]:
    """What is reviewed first."""
    if found.security:
        rows = tuple(
            (each.where, each.field, _side(each.before), _side(each.after), each.reason) for each in found.security
        )
        yield Heading(text="Look at these first")
        yield Table(columns=("where", "field", "before", "after", "why first"), rows=rows)


def why_blocks(found: PlanDiff) -> Iterator[Block]:
    """Causes, and for each deployment the sums that moved."""
    if found.causes or found.chains:
        yield Heading(text="Why")
        yield from _why(found)


def fit_blocks(found: PlanDiff) -> Iterator[Block]:
    """Promises against their budgets."""
    if found.fit:
        yield Heading(text="Against the budgets")
        yield fit_table(found.fit)


def field_blocks(found: PlanDiff) -> Iterator[Block]:
    """Every field, part by part."""
    for where in dict.fromkeys(change.where for change in found.changes):
        fields = tuple(
            (change.field or "(all of it)", _side(change.before), _side(change.after))
            for change in found.changes
            if change.where == where
        )
        yield Heading(text=where)
        yield Table(columns=("field", "before", "after"), rows=fields)


def warning_blocks(found: PlanDiff) -> Iterator[Block]:
    """Warnings that come and go."""
    for title, warnings in (("New warnings", found.new_warnings), ("Warnings that go", found.gone_warnings)):
        if warnings:
            yield Heading(text=title)
            yield Listing(items=warnings)


def file_blocks(found: PlanDiff) -> Iterator[Block]:
    """Files of the rendered folders."""
    if found.files is not None and not found.files.is_empty:
        yield Heading(text="Files")
        yield Listing(items=tuple(_file_lines(found)))


def says_nothing(found: PlanDiff) -> bool:
    """Neither a decision nor a file nor a warning differs."""
    return found.is_empty and not found.new_warnings and not found.gone_warnings


def _why(found: PlanDiff) -> Iterator[Block]:
    if found.causes:
        yield Listing(items=tuple(map(cause_words, found.causes)))
    for chain in found.chains:
        yield Paragraph(text=f"{chain.deployment}, because {_because(chain)}, then:")
        terms = tuple(_followed(chain))
        told = [*_told(terms, _TERMS_OF_A_CHAIN)]
        left = [term.name for term in terms if term not in told]
        yield Listing(items=(*map(_term_words, told), *((f"and {', '.join(left)}",) if left else ())))


def _term_words(term: Term) -> str:
    said = f"{term.name}: {_side(term.before)} -> {_side(term.after)}"
    if term.sum_before == term.sum_after:
        return said
    return f"{said}, from {_short(_side(term.sum_before), _MOST_VALUE)} to {_short(_side(term.sum_after), _MOST_VALUE)}"


def cause_words(cause: Cause) -> str:
    """A cause in a line."""
    if cause.before is None or cause.after is None:
        side, verb = (cause.after, "is set to") if cause.before is None else (cause.before, "is taken away; it was")
        return f"{cause.what} {verb} {side}"
    return f"{cause.what}: {cause.before} -> {cause.after}"


def _because(chain: Chain) -> str:
    if chain.causes:
        return "; ".join(map(cause_words, chain.causes))
    return "nothing of its own was changed; it follows from the others, or from facts that all rest on"


def chain_words(chain: Chain, most: int = _CHAIN_TERMS) -> str:
    """A chain in one sentence: the causes, then the terms that moved, the money last."""
    return f"{chain.deployment}: because {_because(chain)}: {chain_steps(chain, most)}"


def chain_steps(chain: Chain, most: int, *, money: bool = True) -> str:
    """What followed for a deployment, as many terms as there is room for; ``money``: what it costs stands among them."""
    terms = [term for term in _followed(chain) if money or not _is_money(term)]
    told = [*_told(terms, most)]
    steps = [f"{term.name} {' -> '.join(_figures(term))}" for term in told]
    left = len(terms) - len(told)
    more = f" ({counted(left, 'more term')} moved)" if left else ""
    return f"{'; then '.join(steps)}{more}"


def _followed(chain: Chain) -> Iterator[Term]:
    """The terms that are no cause said again: sessions, model and precision stand in the plan as they were written."""
    written = [
        (re.sub(r"[^a-z]", "", cause.what.casefold()), (cause.before, cause.after))
        for cause in chain.causes
        if cause.kind == "spec"
    ]
    for term in chain.terms:
        if not any(
            what.endswith(term.name.casefold()) and (term.before, term.after) == sides for what, sides in written
        ):
            yield term


def _figures(term: Term) -> tuple[str, str]:
    """Both sides of a term, without the clauses behind its figures where those differ already."""
    before, after = _side(term.before), _side(term.after)
    short = tuple(re.split("[,;] ", side, maxsplit=1)[0] for side in (before, after))
    return (short[0], short[1]) if short[0] != short[1] else (before, after)


_TOLD: Final = (
    "sessionsPeak",
    "model",
    "accelerator",
    "contextTokens",
    "totalGib",
    "maxNumSeqs",
    "generating",
    "ttftAtPercentileMs",
    "tpotAtPercentileMs",
    "replicas at the peak",
    "replicas that are always there",
    "nodes",
    "usdPerMonth",
)
"""Terms that a sentence tells first."""


def _told(terms: Sequence[Term], most: int) -> Iterator[Term]:
    """The first of those that a sentence tells, and what it costs in the end."""
    names = {name: rank for rank, name in enumerate(_TOLD)}
    ranked = sorted(terms, key=lambda term: (term.name.partition(" of ")[0] not in names, terms.index(term)))
    money = [term for term in terms if _is_money(term)][:1]
    kept = [*[term for term in ranked if term not in money][: most - len(money)], *money]
    yield from (term for term in terms if term in kept)


def _is_money(term: Term) -> bool:
    return term.name.partition(" of ")[0] == _TOLD[-1]


def money_blocks(found: PlanDiff) -> Iterator[Block]:
    """What agents and node pools cost, before and after."""
    for title, items in (("agent", found.agents), ("node pool", found.pools)):
        if items:
            yield Heading(text=f"Cost by {title}")
            yield money_table(title, items)


def money_table(title: str, items: Sequence[MoneyChange]) -> Table:
    """A month of each, and a thousand of what is asked of it."""
    has_thousand = any(each.before_usd_per_1000 or each.after_usd_per_1000 for each in items)
    return Table(
        columns=(title, "USD a month", "change", *((thousand(each.asked for each in items),) if has_thousand else ())),
        rows=tuple(
            (
                each.name,
                f"{_usd(each.before_usd_per_month)} -> {_usd(each.after_usd_per_month)}",
                f"{each.delta_usd_per_month:+,.2f}",
                *((_thousand(each),) if has_thousand else ()),
            )
            for each in items
        ),
        right=frozenset({1, 2, 3}) if has_thousand else frozenset({1, 2}),
    )


def _thousand(each: MoneyChange) -> str:
    sides = ("-" if usd is None else f"{usd:,.4f}" for usd in (each.before_usd_per_1000, each.after_usd_per_1000))
    return " -> ".join(sides)


def _usd(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def fit_table(items: Sequence[FitChange]) -> Table:
    """Each promise before and after, beside its budget."""
    return Table(
        columns=("workload", "promise", "before", "after"),
        rows=tuple(
            (
                each.workload,
                each.what,
                _ms(each.before_ms, each.before_budget_ms, each.before_miss_ratio),
                _ms(each.after_ms, each.after_budget_ms, each.after_miss_ratio),
            )
            for each in items
        ),
    )


def _ms(value: float | None, budget: float | None, miss: float | None) -> str:
    if value is None:
        return "-" if budget is None else f"not known, budget {budget:,.0f} ms"
    held = "" if budget is None else f" of {budget:,.0f}"
    return f"{value:,.0f}{held} ms{'' if miss is None else f', {miss:.0%} likely over it'}"


def _side(value: str | None) -> str:
    return "-" if value in (None, "") else str(value)


def _file_lines(found: PlanDiff) -> Iterator[str]:
    files = found.files
    if files is not None:
        for verb, paths in (("new", files.added), ("changed", files.changed), ("deleted", files.deleted)):
            yield from (f"{verb}: {path}" for path in paths)


def diff_comment(found: PlanDiff, *, name: str = "", level: str = "") -> str:
    """The difference as Markdown of fewer than 60 lines, for a pull request: what is long is folded, and what is folded is
    shortened where it must be, with how much is left out.

    Args:
        found: The difference.
        name: What it is of, in the heading; empty: the stack.
        level: What is said below the heading, such as why somebody looks.
    """
    for most in range(8, 0, -1):
        text = markdown(tuple(_comment(found, name or found.after, level, most)))
        if text.count("\n") < MOST_LINES and len(text) < MOST_CHARACTERS:
            return text
    return f"{text[:MOST_CHARACTERS].rpartition(chr(10))[0]}\n"


def _comment(found: PlanDiff, name: str, level: str, most: int) -> Iterator[Block]:
    yield Heading(text=f"{name}: {headline(found)}")
    if level:
        yield Paragraph(text=level)
    if says_nothing(found):
        yield Paragraph(text=SAME)
        return
    yield Paragraph(text=" ".join(costs(found)))
    if found.security:
        yield Paragraph(text="Look at these first:")
        yield Listing(items=_some(tuple(map(security_words, found.security)), most, "more of them are below"))
    if found.causes or found.chains:
        yield Paragraph(text="Why:")
        yield Listing(items=_some(tuple(_reasons(found)), most, "more are in the JSON"))
    if found.agents:
        yield _rest(money_table("agent", found.agents), most)
    if found.fit:
        yield _rest(fit_table(found.fit), most)
    details = tuple(_details(found))
    if details:
        table = Table(columns=("of", "what changes"), rows=details)
        summary = f"Everything that changes ({counted(len(found.changes), 'field')})"
        yield Folded(summary=summary, blocks=(_rest(table, 2 * most),))
    files = tuple(_files_by_kind(found))
    if files:
        count = (
            0 if found.files is None else sum(map(len, (found.files.added, found.files.changed, found.files.deleted)))
        )
        yield Folded(summary=f"Files ({count})", blocks=(Listing(items=files),))


def _details(found: PlanDiff) -> Iterator[tuple[str, str]]:
    """A row for each part with all that changes in it, so that many fields take few lines."""
    for title, warnings in (("new warnings", found.new_warnings), ("warnings that go", found.gone_warnings)):
        if warnings:
            yield f"{title} ({len(warnings)})", _short("; ".join(map(_short, warnings)), 4_000)
    if found.pools:
        pools = "; ".join(f"{each.name} {each.delta_usd_per_month:+,.2f}" for each in found.pools)
        yield "USD a month by node pool", _short(pools, 4_000)
    for title, is_of in (("engine arguments", True), ("", False)):
        parts: dict[str, list[str]] = {}
        for change in found.changes:
            if is_flag(change) is is_of:
                parts.setdefault(change.where, []).append(_change_words(change))
        for where, said in parts.items():
            yield f"{title} {where}".strip(), _short("; ".join(said), 6_000)


def is_flag(change: Change) -> bool:
    """Whether it is an argument of an engine."""
    return ".args[" in change.field or change.field.endswith(".args")


def _change_words(change: Change) -> str:
    field = change.field.removeprefix("engine.args") if ".args[" in change.field else change.field
    return f"{field or '(all of it)'} {_short(_side(change.before), 60)} -> {_short(_side(change.after), 60)}"


def _files_by_kind(found: PlanDiff) -> Iterator[str]:
    files = found.files
    if files is not None:
        for verb, paths in (("new", files.added), ("changed", files.changed), ("deleted", files.deleted)):
            if paths:
                yield _short(f"{verb}: {' '.join(paths)}", 8_000)


def _rest(table: Table, most: int) -> Table:
    """The first rows, and what the others are called in one more."""
    if len(table.rows) <= most:
        return table
    left = table.rows[most - 1 :]
    names = _short(", ".join(dict.fromkeys(row[0] for row in left)), 1_000)
    last = (f"{len(left)} more: {names}", *("" for _ in table.columns[1:]))
    return Table(columns=table.columns, rows=(*table.rows[: most - 1], last), right=table.right)


def _some(items: tuple[str, ...], most: int, more: str) -> tuple[str, ...]:
    return items if len(items) <= most else (*items[: most - 1], f"{len(items) - most + 1} {more}")


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def security_words(change: SecurityChange) -> str:
    """A change that comes first, in a line."""
    was, becomes = _short(_side(change.before), _MOST_VALUE), _short(_side(change.after), _MOST_VALUE)
    return f"{change.where}: {change.field} {was} -> {becomes} ({change.reason})"


def _reasons(found: PlanDiff) -> Iterator[str]:
    told = {cause for chain in found.chains for cause in chain.causes}
    yield from (_short(cause_words(cause)) for cause in found.causes if cause not in told)
    yield from (_short(chain_words(chain), 900) for chain in found.chains)


def headline(found: PlanDiff) -> str:
    """What it comes to, in a few words."""
    if says_nothing(found):
        return "nothing changes"
    if delta := found.expected_delta_usd_per_month:
        return f"{delta:+,.2f} USD a month"
    if delta := found.baseline_delta_usd_per_month or found.peak_delta_usd_per_hour:
        of = "a month at rest" if found.baseline_delta_usd_per_month else "an hour at the peak"
        return f"{delta:+,.2f} USD {of}"
    return "the sum stays, the agents' parts of it move" if _parts_move(found) else "the cost stays"


def _parts_move(found: PlanDiff) -> bool:
    return any(each.delta_usd_per_month for each in (*found.agents, *found.pools))


def costs(found: PlanDiff) -> Iterator[str]:
    """What it costs, in sentences."""
    month, hour = found.baseline_delta_usd_per_month, found.peak_delta_usd_per_hour
    before, after = found.baseline_usd_per_month_before, found.baseline_usd_per_month_after
    yield f"Baseline: USD {_change(before, after, month, 'a month')}."
    yield f"Peak: USD {_change(found.peak_usd_per_hour_before, found.peak_usd_per_hour_after, hour, 'an hour')}."
    if found.expected_delta_usd_per_month != month:
        yield f"With the expected burst hours: {found.expected_delta_usd_per_month:+,.2f} USD a month."
    if not found.expected_delta_usd_per_month and _parts_move(found):
        yield "The sum stays; what moves below are the parts that agents and node pools have in it."


def _change(before: Decimal, after: Decimal, delta: Decimal, time: str) -> str:
    if not delta:
        return f"{after:,.2f} {time}, as before"
    ratio = f", {delta / before:+.1%}" if before else ""
    return f"{before:,.2f} -> {after:,.2f} {time} ({delta:+,.2f}{ratio})"
