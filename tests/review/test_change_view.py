"""A difference as the comment of a pull request: short, first things first, and its author writes none of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgpu_iac import plan as p
from agentgpu_iac.plan import Plan
from agentgpu_iac.review.blocks import plain_text
from agentgpu_iac.review.change_view import MOST_LINES, chain_words, diff_comment, diff_view, why_blocks
from agentgpu_iac.review.diff import FileChanges, diff
from agentgpu_iac.review.relevance import SECURITY_FIELDS, section_of, security_reason
from agentgpu_iac.spec.loader import load_text
from agentgpu_iac.spec.written import written
from tests.plans import make_machines_plan, make_plan, make_pool, make_security, make_tiered_plan, make_workload
from tests.review.test_commonmark import HOSTILE, READER, REFERENCES, inner
from tests.review.test_comparing import FULL, LEAVES, changed, is_excepted, path

OURS = {"heading", "paragraph", "bullet_list", "list_item", "table", "thead", "tbody", "tr", "th", "td"}


def hostile_plan(text: str) -> Plan:
    """A plan whose author chose every word that an author of a spec may choose."""
    workload = make_workload(role=text, model=text, served_model_name=text)
    engine = workload.engine.model_copy(update={"image": text, "args": ("--model", text, f"--x={text}")})
    workload = workload.model_copy(update={"engine": engine})
    gitops = p.GitOpsPlan(
        tool="argocd",
        repository=text,
        revision=text,
        revision_kind="branch",
        path=text,
        namespace="argocd",
        timeout_s=1,
        others_scale=(),
    )
    warning = p.Warning(code="unpinned", agent=None, message=f"the image {text} is not pinned")
    plan = make_plan(workloads=(workload,), warnings=(warning,), node_pools=(make_pool(provider=text, region=text),))
    return plan.model_copy(update={"gitops": gitops, "security": make_security(callers=(text,))})


def check_that_all_of_it_is_ours(source: str) -> None:
    tokens = READER.parse(source)
    kinds = {token.type for token in tokens} - {"inline", "html_block"}
    assert kinds <= {f"{kind}_{side}" for kind in OURS for side in ("open", "close")}, source
    assert sum(token.type == "heading_open" for token in tokens) == 1
    html = {token.content.strip().partition("<summary>")[0] for token in tokens if token.type == "html_block"}
    assert html <= {"<details>", "</details>"}
    assert {token.type for token in inner(tokens)} <= {"text", "code_inline", "text_special"}, source
    plain = " ".join(token.content for token in inner(tokens) if token.type == "text")
    assert REFERENCES.search(plain) is None, REFERENCES.search(plain)


@pytest.mark.broad(every=7)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_of_a_spec_are_words(text: str) -> None:
    check_that_all_of_it_is_ours(diff_comment(diff(make_plan(), hostile_plan(text))))
    check_that_all_of_it_is_ours(diff_comment(diff(hostile_plan(text), make_plan()), name=text, level=text))


@settings(max_examples=60)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(HOSTILE), max_size=4).map("\n".join)))
def test_no_words_of_a_spec_write_the_comment(text: str) -> None:
    check_that_all_of_it_is_ours(diff_comment(diff(make_plan(), hostile_plan(text))))


def many(count: int, **changes: Any) -> Plan:
    plan = make_plan()
    workloads = tuple(make_workload(agent=f"a{n}", name=f"a{n}", **changes) for n in range(count))
    costs = tuple(
        p.AgentCost(agent=f"a{n}", usd_per_month=Decimal(n + len(changes)), asked_per_month=None, usd_per_1000=None)
        for n in range(count)
    )
    warnings = tuple(p.Warning(code="unpinned", agent=f"a{n}", message=f"{changes}") for n in range(count))
    cost = plan.cost.model_copy(update={"by_agent": costs})
    return make_plan(workloads=workloads, warnings=warnings).model_copy(update={"cost": cost})


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("count", [1, 5, 40, 200])
def test_a_comment_has_fewer_than_60_lines_however_much_changes(count: int) -> None:
    files = FileChanges(added=tuple(f"base/{n}.yaml" for n in range(count)), changed=("x",), deleted=("y",))
    found = diff(many(count), many(count, max_num_seqs=77, role="other"), files=files)
    text = diff_comment(found)
    assert text.count("\n") < MOST_LINES
    assert len(text) < 65_536
    check_that_all_of_it_is_ours(text)
    assert "a0" in text
    assert "Files (" in text


def test_what_was_written_is_not_what_followed_from_it() -> None:
    """Once a chain began: because sessions.peak 20 -> 150: sessionsPeak 20 -> 150; then ..."""
    workload = make_workload(sessions_peak=20, max_num_seqs=20)
    sides = [
        make_plan(workloads=(workload.model_copy(update={"sessions_peak": peak, "max_num_seqs": seats}),)).model_copy(
            update={"written": (p.Written(path="spec.agents[support].sessions.peak", value=str(peak)),)}
        )
        for peak, seats in ((20, 20), (150, 75))
    ]
    found = diff(*sides)
    assert [each.what for each in found.causes] == ["spec.agents[support].sessions.peak"]
    (chain,) = found.chains
    assert [term.name for term in chain.terms][:2] == ["sessionsPeak", "maxNumSeqs"], "data has all that moved"
    assert "150: maxNumSeqs 20 -> 75" in chain_words(chain)
    assert "sessionsPeak" not in diff_comment(found).partition("Everything that changes")[0]
    assert "sessionsPeak" not in plain_text(why_blocks(found))


def test_what_security_must_see_comes_before_the_money_table() -> None:
    before = make_plan()
    after = before.model_copy(update={"security": make_security(callers=("web",), network_policies=False)})
    text = diff_comment(diff(before, after))
    assert text.index("Look at these first") < text.index("Everything that changes")
    assert "security.callers" in text and "who may reach what" in text


@pytest.mark.parametrize(
    ("place", "is_first"),
    [
        ("security.callers", True),
        ("workloads.engine.image", True),
        ("router.exporter.image", True),
        ("hosts.callerRanges", True),
        ("hosts.prometheus.image", True),
        ("gitops.repository", True),
        ("workloads.modelCache.tokenSecret", True),
        ("proxy.teams.keySecret", True),
        ("nodePools.region", True),
        ("workloads.maxNumSeqs", False),
        ("nodePools.imagePull", False),
        ("quota.pods", False),
    ],
)
def test_what_comes_first(place: str, is_first: bool) -> None:
    assert bool(security_reason(place, place)) is is_first


def test_every_row_of_what_comes_first_is_a_field_of_the_plan() -> None:
    places = {path(steps[: length + 1]) for steps in LEAVES for length in range(len(steps))}
    assert set(SECURITY_FIELDS) <= places


def test_every_image_secret_and_range_comes_first() -> None:
    words = ("image", "secret", "ranges", "callers", "tls", "repository")
    for steps in LEAVES:
        last = steps[-1]
        if (
            not is_excepted(steps)
            and any(word in last for word in words)
            and "cold_start_s" not in steps
            and last != "image_pull"
        ):
            found = diff(FULL, changed(FULL, steps))
            assert found.security, path(steps)


def test_code_that_comes_with_weights_comes_first() -> None:
    pool = make_pool()
    code = pool.cached_models[0].model_copy(update={"runs_code": True})
    found = diff(make_plan(), make_plan(node_pools=(make_pool(cached_models=(code,)),)))
    assert [(each.field, each.after) for each in found.security] == [("cachedModels[Qwen/Qwen3-8B].runsCode", "true")]


def test_spot_under_users_is_said() -> None:
    after = make_plan(node_pools=(make_pool(capacity_types=("spot", "on-demand")),))
    found = diff(make_plan(), after).security
    assert found[0].field == "spot under users"
    assert (found[0].where, found[0].before, found[0].after) == ("workload support", "no", "yes")


def test_the_image_of_a_workload_that_comes_is_shown() -> None:
    found = diff(make_plan(), make_tiered_plan()).security
    assert ("workload support-burst", "engine.image", None) in {(one.where, one.field, one.before) for one in found}


def test_what_goes_with_one_node_pool_and_comes_with_another_is_no_change() -> None:
    """Once another machine was fifty lines: every image, model and region of the pool that went and of the one that came."""
    other = make_pool(name="demo-baseline-g5-xlarge", region="eu-west-1")
    workload = make_workload(node_pool=other.name)
    found = diff(make_plan(), make_plan(node_pools=(other,), workloads=(workload,))).security
    assert {(each.field, each.before, each.after) for each in found if each.where.startswith("node pool")} == {
        ("region", "us-east-1", None),
        ("region", None, "eu-west-1"),
    }


def test_ranges_of_machines_that_come_are_shown() -> None:
    machines = make_machines_plan(target="spheron")
    opened = machines.hosts[0].model_copy(update={"caller_ranges": ("0.0.0.0/0",)})
    before = machines.model_copy(update={"hosts": ()})
    found = diff(before, machines.model_copy(update={"hosts": (opened,)})).security
    assert ("callerRanges", None, "0.0.0.0/0") in {(one.field, one.before, one.after) for one in found}


def test_money_by_agent_and_pool_the_largest_change_first() -> None:
    found = diff(many(3), many(3, role="x"))
    assert [each.name for each in found.agents] == ["a0", "a1", "a2"]
    assert {each.delta_usd_per_month for each in found.agents} == {Decimal(1)}


STACK = """\
apiVersion: agentgpu.dev/v1alpha1
kind: AgentStack
metadata: {name: demo}
spec:
  agents:
    - {name: a, model: Qwen/Qwen3-14B, sessions: {concurrent: 5}}
    - {name: b, model: Qwen/Qwen3-14B}
"""


def test_causes_are_fields_of_the_spec_by_the_names_of_agents() -> None:
    first = "    - {name: first, model: Qwen/Qwen3-8B}\n"
    other = STACK.replace("concurrent: 5", "concurrent: 50").replace("agents:\n", f"agents:\n{first}")
    before, after = (asked(text) for text in (STACK, other))
    assert [(one.kind, one.what, one.before, one.after) for one in diff(before, after).causes] == [
        ("spec", "spec.agents[a].sessions.concurrent", "5", "50"),
        ("spec", "spec.agents[first].name", None, "first"),
        ("spec", "spec.agents[first].model", None, "Qwen/Qwen3-8B"),
    ]
    assert diff(before, before).causes == ()


def asked(text: str) -> Plan:
    values = written(load_text(text, "x").tree.root)
    return make_plan().model_copy(
        update={"written": tuple(p.Written(path=path, value=value) for path, value in values)}
    )


def test_what_follows_is_no_cause() -> None:
    """Once the difference of two plans named the sessions at the peak, which nobody writes."""
    (workload,) = make_plan().workloads
    (agent,) = make_plan().served_agents
    grown = make_plan(workloads=(workload.model_copy(update={"sessions_peak": 500}),)).model_copy(
        update={"agents": (agent.model_copy(update={"sessions_peak": 500, "context_tokens": 7}),)}
    )
    assert diff(make_plan(), grown).causes == ()
    spec = grown.provenance.model_copy(update={"spec_sha256": "1" * 64})
    found = diff(make_plan(), grown.model_copy(update={"provenance": spec})).causes
    assert [(one.kind, one.before, one.after) for one in found] == [("demand", "0" * 12, "1" * 12)]


def test_a_sum_that_stays_above_parts_that_move_says_so() -> None:
    """Once the comment said that the cost stays, above rows of agents that moved by hundreds."""
    found = diff(many(3), many(3, role="x"))
    assert found.agents and not found.expected_delta_usd_per_month
    text = diff_comment(found)
    assert "the cost stays" not in text
    assert "the sum stays, the agents' parts of it move" in text.partition("\n")[0]


def ledgered(seats: str, value: float) -> Plan:
    entry = p.LedgerEntry(
        workload="support",
        section="Memory of one accelerator",
        name="kvGib",
        formula="kvPerSessionGib x maxNumSeqs",
        inputs=f"0.15 x {seats}",
        result=f"{value} GiB",
        value=value,
        unit="GiB",
        source="x",
    )
    workload = make_workload(max_num_seqs=int(seats), sessions_peak=int(seats))
    said = p.Written(path="spec.agents[support].traffic.burstFactor", value=seats)
    return make_plan(workloads=(workload,)).model_copy(update={"ledger": (entry,), "written": (said,)})


def test_a_chain_goes_from_the_cause_over_the_terms_of_the_ledger() -> None:
    found = diff(ledgered("12", 1.8), ledgered("24", 3.6))
    (chain,) = found.chains
    assert [(term.name, term.before, term.after) for term in chain.terms] == [
        ("sessionsPeak", "12", "24"),
        ("maxNumSeqs", "12", "24"),
        ("kvGib", "1.8 GiB", "3.6 GiB"),
    ]
    assert (chain.terms[2].sum_before, chain.terms[2].sum_after) == ("0.15 x 12", "0.15 x 24")
    assert [cause.what for cause in chain.causes] == ["spec.agents[support].traffic.burstFactor"]
    assert "because `spec.agents[support]" in diff_comment(found)


def sums(*entries: tuple[str, str, str, str]) -> Plan:
    """A plan with these sections, numbers, inputs and results in its ledger."""
    made = tuple(
        p.LedgerEntry(
            workload="support",
            section=section,
            name=name,
            formula="x",
            inputs=inputs,
            result=result,
            value=0.0,
            unit="",
            source="x",
        )
        for section, name, inputs, result in entries
    )
    return make_plan().model_copy(update={"ledger": made})


def test_a_term_of_one_agent_says_whose_it_is() -> None:
    """Once ``carriedPerDay`` of two agents of a deployment stood there twice, and nobody's."""
    sections = ("Calls of support", "Context of support", "Cost of support", "Memory of one accelerator")
    before, after = (sums(*((each, "number", "x", value) for each in sections)) for value in ("1", "2"))
    (chain,) = diff(before, after).chains
    assert [term.name for term in chain.terms] == ["number of support"] * 3 + ["number"]


def test_a_sum_that_reads_the_same_is_not_told_twice() -> None:
    """Once a cost went ``from pools above to pools above``."""
    before, after = (sums(("Cost of support", "usdPerMonth", "pools above", usd)) for usd in ("USD 1.00", "USD 2.00"))
    shown = plain_text(diff_view(diff(before, after.model_copy(update={"target": "kubernetes"}))))
    assert "usdPerMonth of support: USD 1.00 -> USD 2.00\n" in shown


def test_a_comment_tells_figures_without_their_clauses() -> None:
    """Once the words behind each figure had the money, which stands last, cut off."""
    clauses = "budget 500; 0% likely over it, by the stated error"
    before = sums(
        ("Latency", "ttftAtPercentileMs", "x", f"103 ms at p95 ±45%, {clauses}"),
        ("Rollout", "outage", "x", "0 s; 183 s where node groups make the nodes"),
    )
    after = sums(
        ("Latency", "ttftAtPercentileMs", "x", f"107 ms at p95 ±45%, {clauses}"),
        ("Rollout", "outage", "x", "0 s; 200 s where node groups make the nodes"),
    )
    text = diff_comment(diff(before, after.model_copy(update={"target": "kubernetes"})))
    assert "ttftAtPercentileMs 103 ms at p95 ±45% -> 107 ms at p95 ±45%; then" in text
    assert "0 s; 183 s where node groups make the nodes -> 0 s; 200 s where" in text


def test_another_price_is_a_cause_of_its_own() -> None:
    plan = make_plan()
    (item,) = plan.cost.line_items
    dearer = item.model_copy(update={"usd_per_hour": item.usd_per_hour * 2, "price_date": "2026-11-01"})
    after = plan.model_copy(update={"cost": plan.cost.model_copy(update={"line_items": (dearer,)})})
    causes = diff(plan, after).causes
    assert [cause.kind for cause in causes] == ["price"]
    assert "g6e.xlarge" in causes[0].what and "2026-11-01" in (causes[0].after or "")


def test_files_alone_are_a_difference() -> None:
    files = FileChanges(changed=("base/x.yaml",))
    found = diff(make_plan(), make_plan(), files=files)
    assert not found.is_empty
    assert "changed: base/x.yaml" in diff_comment(found)
    assert "base/x.yaml" in str(diff_view(found))
    assert diff(make_plan(), make_plan(), files=FileChanges()).is_empty


def test_every_field_has_a_section() -> None:
    assert section_of("workloads.latency.ttftMs") == "latency"
    assert section_of("workloads.memory.kvGib") == "sizing"
    assert section_of("nodePools.max") == "capacity"
    assert section_of("router.image") == "running"
    assert section_of("agents.sessionsPeak") == "demand"
