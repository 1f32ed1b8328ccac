"""An explanation by depth: the stack on a page, then one agent, then one number; ``explain_view`` is all of it at once."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agentgpu_iac.errors import BadInput, did_you_mean
from agentgpu_iac.plan import LedgerEntry, Plan, Workload
from agentgpu_iac.plan.meanings import RANK_ORDER
from agentgpu_iac.review.blocks import Block, Commands, Heading, Listing, Paragraph, Table, tone_of
from agentgpu_iac.review.explain import explain, explained, kinds
from agentgpu_iac.review.plan_page import reasons
from agentgpu_iac.review.plan_view import gap_sentence, money_blocks, replicas, sentence
from agentgpu_iac.review.proof_view import proof_blocks
from agentgpu_iac.review.served_view import served_blocks
from agentgpu_iac.review.warning_groups import RANK_TITLES, grouped
from agentgpu_iac.units import counted

TOPICS: Final = ("cost", "warnings")
"""What may stand in an agent's place; an agent of that name goes first."""
_SHOWN_CHOICES: Final = 3


def topic_of(plan: Plan, word: str | None) -> str | None:
    """The topic that a word names, where no agent has that name."""
    names = {workload.agent for workload in plan.workloads} | {agent.name for agent in plan.served_agents}
    return word if word in TOPICS and word not in names else None


def topic_data(plan: Plan, topic: str) -> Any:
    """A topic as data."""
    if topic == "cost":
        return plan.cost.model_dump(mode="json", by_alias=True)
    return [
        {
            "rank": group.rank,
            "code": group.code,
            "remedy": group.remedy,
            "warnings": [each.model_dump(mode="json", by_alias=True) for each in group.warnings],
        }
        for group in grouped(plan)
    ]


def topic_view(plan: Plan, topic: str) -> tuple[Block, ...]:
    """A topic in full."""
    return tuple(money_blocks(plan) if topic == "cost" else _warnings(plan))


def _warnings(plan: Plan) -> Iterator[Block]:
    groups = grouped(plan)
    if not groups:
        yield Paragraph(text="There are no warnings.")
    for rank in RANK_ORDER:
        found = [group for group in groups if group.rank == rank]
        if found:
            yield Heading(text=RANK_TITLES[rank])
        for group in found:
            yield Listing(items=tuple(map(sentence, group.warnings)))
            yield Paragraph(text=f"To do: {group.remedy}.", tone="quiet")


def stack_page(plan: Plan, source: str) -> tuple[Block, ...]:
    """Where the numbers of a stack are from, deployment by deployment, and how to go on."""
    return tuple(_stack(plan, source))


def _stack(plan: Plan, source: str) -> Iterator[Block]:
    names = explained(plan, source, None)
    drivers = {driver.agent: driver for driver in plan.drivers}
    counts = Counter(entry.workload for entry in plan.ledger)
    rows = []
    for name in names:
        workload = _baseline(plan, name)
        driver = drivers.get(name)
        rows.append(
            (
                name,
                workload.model.rpartition("/")[2],
                f"{workload.accelerators_per_replica} x {workload.accelerator}",
                replicas(workload),
                "" if driver is None else f"{driver.usd_per_month:,.2f}",
                "" if driver is None else driver.constraint,
                str(sum(counts[each.name] for each in plan.workloads if each.agent == name)),
            )
        )
    yield Heading(text=f"{plan.stack}: where its numbers are from")
    yield Table(
        columns=("agent", "model", "on", "replicas", "USD a month", "stands at", "numbers"),
        rows=tuple(rows),
        right=frozenset({4, 6}),
        whole=frozenset({3, 4, 5, 6}),
        cuttable=frozenset({0, 1, 2}),
        drop=(6, 2, 3),
    )
    yield Listing(items=tuple(reasons(plan, len(names))))
    if drivers:
        yield Heading(text="What the price stands at")
        yield Listing(items=tuple(f"{driver.agent}: {driver.message}" for driver in plan.drivers))
    yield Paragraph(text=gap_sentence(plan))
    yield Heading(text="Deeper")
    quoted = shlex.quote(source)
    first = names[0]
    number = next((entry.name for entry in explain(plan, source, first)), "NUMBER")
    yield Commands(
        lines=(
            f"agentgpu explain {quoted} {first}",
            f"agentgpu explain {quoted} {first} {number}",
            *(f"agentgpu explain {quoted} {topic}" for topic in TOPICS),
            f"agentgpu explain {quoted} --all",
        )
    )


def _baseline(plan: Plan, name: str) -> Workload:
    return next(workload for workload in plan.workloads if workload.agent == name)


def agent_page(plan: Plan, source: str, agent: str) -> tuple[Block, ...]:
    """What decides about one agent, what else would do, and where every other number of it is."""
    return tuple(_agent(plan, source, agent))


def _agent(plan: Plan, source: str, agent: str) -> Iterator[Block]:
    (name,) = explained(plan, source, agent)
    workload = _baseline(plan, name)
    yield Heading(text=f"{name}: {workload.model} on {kinds(plan, name)}")
    yield Paragraph(text=f"{workload.chosen_because[:1].upper()}{workload.chosen_because[1:]}.")
    yield Listing(items=tuple(driver.message for driver in plan.drivers if driver.agent == name))
    yield from served_blocks(plan, name)
    entries = explain(plan, source, agent)
    yield from _key_numbers(entries, workload)
    yield from proof_blocks(plan, name)
    yield from _choices(plan, name)
    yield Heading(text=f"All {len(entries)} numbers, by section")
    counts = Counter(entry.section for entry in entries)
    yield Paragraph(text=f"{', '.join(f'{section} ({count})' for section, count in counts.items())}.")
    yield Heading(text="Deeper")
    command = f"agentgpu explain {shlex.quote(source)} {agent}"
    words = [shlex.quote(word) for entry in entries[:1] for word in (entry.name, entry.section)] or ["NUMBER"]
    yield Commands(lines=tuple(f"{command} {word}" for word in (*words, "--all")))


_KEY: Final = (
    "contextTokens",
    "weightsGib",
    "kvGib",
    "totalGib",
    "headroomGib",
    "ttftAtPercentileMs",
    "tpotAtPercentileMs",
    "e2eAtPercentileMs",
    "generating",
    "replicas",
    "total",
    "usdPerMonth",
    "usdPer1000",
)
"""Numbers that an agent's page shows with their formulas: what is asked, memory, times, how many, the start, the money."""


def _key_numbers(entries: tuple[LedgerEntry, ...], workload: Workload) -> Iterator[Block]:
    """The numbers that a decision rests on, of the first tier that has them."""
    by_name: dict[str, LedgerEntry] = {}
    for entry in entries:
        by_name.setdefault(entry.name, entry)
    found = [by_name[name] for name in _KEY if name in by_name]
    tones = _tones(workload)
    if found:
        yield Table(
            columns=("number", "result", "formula"),
            rows=tuple((entry.name, entry.result, entry.formula) for entry in found),
            whole=frozenset({0}),
            cuttable=frozenset({1, 2}),
            drop=(2,),
            tones=tuple((row, 1, tones[entry.name]) for row, entry in enumerate(found) if entry.name in tones),
        )


def _tones(workload: Workload) -> Mapping[str, Any]:
    """Numbers that are held against a budget, and how near they are."""
    latency = workload.latency
    pairs = {
        "ttftAtPercentileMs": (latency.ttft_at_percentile_ms, latency.budget_ttft_ms),
        "tpotAtPercentileMs": (latency.tpot_at_percentile_ms, latency.budget_tpot_ms),
        "e2eAtPercentileMs": (latency.e2e_at_percentile_ms, latency.budget_e2e_ms),
    }
    found = {name: tone_of(value / budget) for name, (value, budget) in pairs.items() if value and budget}
    return {name: tone for name, tone in found.items() if tone}


def _choices(plan: Plan, name: str) -> Iterator[Block]:
    others = [other for other in plan.cost.alternatives if other.agent == name]
    if others:
        yield Paragraph(text="What else would do:")
        yield Table(
            columns=("what", "USD a month", "difference", "note"),
            rows=tuple(
                (other.description, f"{other.usd_per_month:,.2f}", f"{other.delta_usd_per_month:+,.2f}", other.note)
                for other in others[:_SHOWN_CHOICES]
            ),
            right=frozenset({1, 2}),
            whole=frozenset({1, 2}),
            cuttable=frozenset({0, 3}),
            drop=(3, 1),
        )
    refused = Counter(rejection.constraint for rejection in plan.rejections if rejection.agent in (name, "*"))
    if refused:
        counts = ", ".join(f"{constraint} {count}" for constraint, count in refused.most_common())
        yield Paragraph(text=f"Rejected, whatever they cost: {counted(refused.total(), 'candidate')} ({counts}).")


def numbers_named(plan: Plan, source: str, agent: str, number: str) -> tuple[LedgerEntry, ...]:
    """The sums of an agent by the name of their number, or by that of their section.

    Raises:
        BadInput: the agent has no such number.
    """
    entries = explain(plan, source, agent)
    wanted = number.casefold()
    found = tuple(entry for entry in entries if wanted in (entry.name.casefold(), entry.section.casefold()))
    if not found:
        known = dict.fromkeys(name for entry in entries for name in (entry.name, entry.section))
        near = did_you_mean(number, known)
        raise BadInput.one(source, f"{agent} has no number {number!r}", hint=near or f"explain {agent} lists them")
    return found


def number_page(plan: Plan, source: str, agent: str, number: str) -> tuple[Block, ...]:
    """One number with its whole sum."""
    return tuple(block for entry in numbers_named(plan, source, agent, number) for block in _number(entry))


def _number(entry: LedgerEntry) -> Iterator[Block]:
    yield Heading(text=f"{entry.name} of {entry.workload}: {entry.result}")
    yield Table(
        columns=("", ""),
        rows=(
            ("section", entry.section),
            ("formula", entry.formula),
            ("with", entry.inputs),
            ("result", entry.result),
            ("source", entry.source),
        ),
    )
