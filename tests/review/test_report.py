"""The report: its figures are the plan's, it asks for nothing and runs nothing, and no name is more than a name."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import nodes

from agentgpu_iac.plan import Plan
from agentgpu_iac.plan.reading import load_plan
from agentgpu_iac.rendering.templates import template_folder
from agentgpu_iac.review.commonmark import visible
from agentgpu_iac.review.report import page as page_module
from agentgpu_iac.review.report.drawing import cleaned, draw
from agentgpu_iac.review.report.figure import shortened
from agentgpu_iac.review.report.page import report_page
from agentgpu_iac.review.report.tables import Sums
from agentgpu_iac.review.report.view import MOST_FIGURES, report
from agentgpu_iac.review.report.waterfalls import waterfall
from agentgpu_iac.review.warning_groups import RANK_ORDER, RANK_TITLES, grouped
from tests.plans import make_plan, make_pool, make_workload
from tests.review.pages import parsed, rich_plan, table, tags, text
from tests.thoroughness import examples

GOLDEN = Path(__file__).parents[1] / "outcomes" / "golden"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; </style><svg/onload=alert(1)>",
    "</title><iframe src=https://example.com>",
    "\u202egnp.exe\u202c",
    "a\u200bb\u2066c\u2069",
    "{{ 7 * 7 }}{% raw %}",
    "]]><!--",
    "line\nbreak\x00\x1b[31m",
    "&lt;b&gt;&amp;",
)


@pytest.fixture(scope="module")
def rich() -> Plan:
    return rich_plan()


@pytest.fixture(scope="module")
def page(rich: Plan) -> str:
    return report_page(rich)


@pytest.fixture(scope="module")
def five() -> Plan:
    return load_plan(GOLDEN / "five-agents" / "eks" / "plan.json")


@pytest.fixture(scope="module")
def page_of_five(five: Plan) -> str:
    return report_page(five)


def test_the_same_plan_gives_the_same_bytes_whatever_was_drawn_before(rich: Plan, page: str, page_of_five: str) -> None:
    assert page_of_five
    assert report_page(rich) == page


def test_the_page_asks_for_nothing_and_runs_nothing(page_of_five: str) -> None:
    found = parsed(page_of_five)
    assert not found.css("script, iframe, object, embed, img, form, base, video, audio, use, foreignObject, animate")
    attributes = {name for node in found.css("*") for name in node.attributes}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"src", "srcset", "style", "action", "formaction", "background", "xlink:href"}
    hrefs = {node.attributes["href"] for node in found.css("[href]")}
    assert hrefs - {"data:,"} and all(href.startswith("#") for href in hrefs - {"data:,"})
    assert not re.findall(r"url\(|@import|expression\(", page_of_five)


def test_the_policy_lets_the_page_have_its_one_style_sheet_alone(page: str) -> None:
    found = parsed(page)
    (style,) = found.css("style")
    digest = base64.b64encode(hashlib.sha256(style.text().encode()).digest()).decode()
    policy = found.css_first("meta[http-equiv]").attributes["content"]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_every_link_leads_somewhere_and_no_two_things_bear_one_name(page_of_five: str, page: str) -> None:
    for each in (page, page_of_five):
        found = parsed(each)
        ids = [node.attributes["id"] for node in found.css("[id]")]
        assert len(ids) == len(set(ids))
        asked = {node.attributes["href"].removeprefix("#") for node in found.css("a[href]")}
        named = {word for node in found.css("[aria-labelledby]") for word in node.attributes["aria-labelledby"].split()}
        assert asked | named <= set(ids)


def test_numbers_lead_to_their_sums(page: str) -> None:
    (row,) = parsed(page).css("#planned tbody tr")[:1]
    (need,) = [link for link in row.css("a") if text(link) == "23.26"]
    found = parsed(page).css_first(need.attributes["href"])
    assert text(found) == "totalGib 23.26 GiB how weights + KV cache with 15.26 + 8 from source of totalGib"
    assert found.parent.parent.tag == "details"


def test_what_was_asked_and_planned_is_the_plans(five: Plan, page_of_five: str) -> None:
    asked = table(page_of_five, "Agents as asked for, with their budgets")
    assert [row["agent"] for row in asked] == [agent.name for agent in five.served_agents]
    assert [row["sessions"] for row in asked] == [
        f"{agent.sessions_concurrent:,} to {agent.sessions_peak:,}" for agent in five.served_agents
    ]
    planned = table(page_of_five, "Deployments")
    for row, workload in zip(planned, five.workloads, strict=True):
        assert row["deployment and tier"] == workload.name
        assert row["memory need GiB"] == f"{workload.memory.total_gib:,.2f}"
        assert row["seats"] == f"{workload.max_num_seqs:,}"
        assert float(row["TTFT ms"].replace(",", "")) == pytest.approx(workload.latency.ttft_at_percentile_ms, abs=0.05)
    assert [row["pool"] for row in table(page_of_five, "Node pools")] == [pool.name for pool in five.node_pools]


def test_the_parts_of_a_cards_memory_make_up_its_need(five: Plan) -> None:
    figure = report(five).parts[0].figures[0]
    bars = next(layer for layer in figure.spec["layer"] if "x2" in layer["encoding"])
    for workload in five.workloads:
        memory = workload.memory
        its = [row for row in bars["data"]["values"] if row["tip"].startswith(f"{workload.name}: ")]
        planned = [row for row in its if row["fill"] != "var(--spare)"]
        assert sum(row["end"] - row["start"] for row in planned) == pytest.approx(memory.utilization_ratio, abs=2e-4)
        assert max(row["end"] for row in its) == pytest.approx(memory.engine_budget_gib / memory.capacity_gib, abs=1e-6)
    ticks = next(layer for layer in figure.spec["layer"] if layer["mark"]["type"] == "tick")
    assert {row["at"] for row in ticks["data"]["values"]} == {0.8}


def test_engines_on_one_card_are_one_bar() -> None:
    first = make_workload(name="a", agent="a", share_group="g")
    second = make_workload(name="b", agent="b", share_group="g")
    figure = report(make_plan(workloads=(first, second))).parts[0].figures[0]
    bars = next(layer for layer in figure.spec["layer"] if "x2" in layer["encoding"])
    assert {row["row"] for row in bars["data"]["values"]} == {0}
    ends = [row["end"] for row in bars["data"]["values"] if row["fill"] != "var(--spare)"]
    assert max(ends) == pytest.approx(2 * 23.26 / 44.39)


def test_replicas_of_a_deployment_that_share_a_card_are_one_bar() -> None:
    shared = make_workload(name="a", agent="a", share_group="g")
    plan = make_plan(workloads=(shared,), node_pools=(make_pool(slots_per_accelerator=2),))
    memory = report(plan).parts[0].figures[0]
    bars = next(layer for layer in memory.spec["layer"] if "x2" in layer["encoding"])
    ends = [row["end"] for row in bars["data"]["values"] if row["fill"] != "var(--spare)"]
    assert max(ends) == pytest.approx(2 * 23.26 / 44.39)
    assert "2 x a needs" in memory.summary
    assert [row[-1].text if hasattr(row[-1], "text") else row[-1] for row in memory.table.rows] == ["a"]


def test_the_waterfall_ends_at_the_planned_figure_with_its_band_and_budget(five: Plan) -> None:
    for workload in five.workloads:
        figure = waterfall(workload, "it", Sums.of(five))
        latency, layers = workload.latency, figure.spec["layer"]
        rows = layers[1]["data"]["values"]
        *steps, total = rows
        assert steps[0]["start"] == 0
        assert all(after["start"] == pytest.approx(before["end"]) for before, after in pairwise(steps))
        assert steps[-1]["end"] == pytest.approx(latency.ttft_at_percentile_ms)
        assert total["end"] == latency.ttft_at_percentile_ms
        (band,) = layers[3]["data"]["values"]
        assert band["start"] == pytest.approx(latency.ttft_at_percentile_ms * (1 - latency.ttft_error_ratio))
        assert band["end"] == pytest.approx(latency.ttft_at_percentile_ms * (1 + latency.ttft_error_ratio))
        budgets = [layer["data"]["values"][0]["at"] for layer in layers if layer["mark"]["type"] == "rule"]
        assert budgets == ([] if latency.budget_ttft_ms is None else [latency.budget_ttft_ms])


def test_a_model_that_generates_nothing_is_held_to_its_whole_answer() -> None:
    plan = load_plan(GOLDEN / "retrieval" / "eks" / "plan.json")
    workload = next(each for each in plan.workloads if each.pooling is not None and each.latency.budget_e2e_ms)
    figure = waterfall(workload, "it", Sums.of(plan))
    assert figure.title == f"{workload.name}: the whole answer p95"
    assert figure.spec["layer"][1]["data"]["values"][-1]["end"] == workload.latency.e2e_at_percentile_ms


def test_every_candidate_stands_in_the_scatter_or_in_its_table(rich: Plan, page: str) -> None:
    rows = table(page, "support: candidates")
    assert [(row["candidate"], row["fate"], row["USD a month"], row["ms"]) for row in rows] == [
        ("1 x l40s", "chosen", "1,339.92", "130.0"),
        ("1 x 1 H100 SXM on p5.4xlarge", "runner-up", "4,953.60", "73.6"),
        ("l4", "rejected: ttft", "579.46", "612.0"),
        ("a10g", "rejected: memory", "724.32", ""),
        ("t4", "rejected: precision", "", ""),
    ]
    figure = report(rich).parts[0].figures[2]
    dots = [
        row for layer in figure.spec["layer"] if layer["mark"]["type"] == "point" for row in layer["data"]["values"]
    ]
    assert sorted((dot["y"], dot["x"]) for dot in dots if dot["x"] < 613) == [
        (579.46, 612.0),
        (1339.92, 130.0),
        (4953.6, 73.6),
    ]
    (edge,) = [dot for dot in dots if dot["x"] >= 613]
    assert edge["y"] == 724.32
    assert "1 of them without a predicted latency" in figure.summary
    assert "1 more were turned away" in figure.summary


def test_money_of_agents_and_pools_adds_up_to_the_plans(five: Plan, page_of_five: str) -> None:
    agents = table(page_of_five, "Cost by agent")
    assert [row["USD a month"] for row in agents] == [f"{each.usd_per_month:,.2f}" for each in five.cost.by_agent]
    pools = table(page_of_five, "Cost by node pool")
    assert sum(float(row["USD a month"].replace(",", "")) for row in pools) == pytest.approx(
        float(five.cost.expected_usd_per_month)
    )


def test_the_cold_start_lies_beside_the_burst(rich: Plan, page: str) -> None:
    (figure,) = report(rich).parts[6].figures
    rows = figure.spec["layer"][1]["data"]["values"]
    assert (rows[0]["start"], rows[0]["end"], rows[0]["note"]) == (0.0, 60.0, "+36")
    assert rows[-2]["end"] == pytest.approx(rich.workloads[0].cold_start_s.total)
    late = figure.spec["layer"][2]["data"]["values"][0]["at"]
    assert late == rich.workloads[0].cold_start_s.upper.total
    seconds = table(page, "support: seconds of a cold start")
    assert seconds[-1] == {"phase": "the burst comes", "likely": "60.0", "at worst": ""}


def test_the_proof_is_shown_as_it_was_recorded(rich: Plan, page: str) -> None:
    """Its curves and its waits are the plan's, figure by figure; nothing is simulated for the report."""
    found = parsed(page)
    proof = rich.proof[0]
    assert proof.course is not None
    assert proof.waits is not None
    section = found.css_first("#proof")
    told = text(section)
    for said in ("96.12% to 99.13%", "27,417 requests", "17", "the simulation that went worst"):
        assert said in told
    waits, load, fleet = (
        table(page, caption)
        for caption in (
            "Time to first token, in ms",
            f"{proof.agent} over time: sessions and requests",
            f"{proof.agent} over time: replicas",
        )
    )
    assert [row["simulated"] for row in waits] == ["81.5", "412.0", "733.2"]
    assert {row["budget"] for row in waits} == {f"{rich.served_agents[0].budget_ttft_ms:,.0f}"}
    course = proof.course
    assert [[float(cell) for cell in row.values()] for row in load] == [
        [*each] for each in zip(course.minutes, course.sessions, course.running, course.waiting, strict=True)
    ]
    assert [[float(cell) for cell in row.values()] for row in fleet] == [
        [*each]
        for each in zip(
            course.minutes, course.warm_replicas, course.burst_replicas, course.starting_replicas, strict=True
        )
    ]
    assert len(section.css("figure svg")) == 3


def test_a_plan_without_a_proof_has_no_part_of_it(five: Plan, page_of_five: str) -> None:
    assert not five.proof
    assert parsed(page_of_five).css_first("#proof") is None


def test_agents_of_one_deployment_show_its_course_once(rich: Plan) -> None:
    first = rich.proof[0]
    second = first.model_copy(update={"agent": "other", "course": None})
    agent = rich.served_agents[0]
    served = tuple(each.model_copy(update={"agents": (first.agent, "other")}) for each in rich.workloads)
    agents = (agent, agent.model_copy(update={"name": "other"}))
    shared = rich.model_copy(update={"proof": (first, second), "agents": agents, "workloads": served})
    names = [figure.name for part in report(shared).parts if part.id == "proof" for figure in part.figures]
    assert names == ["waits", "load-0", "fleet-0"]


def test_warnings_of_one_kind_stand_together_with_what_to_do(rich: Plan, page: str) -> None:
    items = parsed(page).css("#warnings li")
    ranks = [item.attributes["class"] for item in items]
    assert ranks == [group.rank for group in grouped(rich)] == sorted(ranks, key=RANK_ORDER.index)
    assert len(ranks) == 2
    assert sum(len(item.css("p:not(.remedy)")) for item in items) == len(rich.warnings)
    (unpinned,) = [item for item in items if text(item.css_first("code")) == "unpinned"]
    assert text(unpinned.css_first(".count")) == "2 times"
    assert text(unpinned.css_first(".remedy")) == "What to do: set the pin that the message names."
    titles = [RANK_TITLES[rank] for rank in dict.fromkeys(ranks)]
    assert [text(title) for title in parsed(page).css("#warnings h3")] == titles


def test_each_fact_of_the_plan_is_a_sentence_at_the_top(five: Plan) -> None:
    assert report(five).headline == five.facts
    assert report(five.model_copy(update={"facts": ()})).headline == (five.headline,)


def test_an_agent_without_a_burst_has_no_time_for_one() -> None:
    """Its deployment has one where another agent of it climbs."""
    workload = make_workload(sessions_concurrent=10, sessions_peak=46, burst_ramp_s=60.0)
    (climbs,) = make_plan(workloads=(workload,)).served_agents
    stays = climbs.model_copy(update={"sessions_peak": climbs.sessions_concurrent})
    for agent, said in ((climbs, "60"), (stays, "")):
        plan = make_plan(workloads=(workload,)).model_copy(update={"agents": (agent,)})
        (row,) = report(plan).parts[1].grids[0].rows
        assert row[-1].text == said


def test_one_replica_is_one_replica() -> None:
    said = report(make_plan()).parts[6].figures[0].summary
    assert re.search(r"\. 1 replica of \d+ seats each\.$", said)


def test_more_deployments_than_are_drawn_keep_their_tables() -> None:
    many = tuple(make_workload(name=f"a{at}", agent=f"a{at}") for at in range(MOST_FIGURES + 2))
    said = report(make_plan(workloads=many))
    starts = said.parts[6]
    assert len(starts.figures) == MOST_FIGURES
    assert len(starts.grids) == 2
    (sentence,) = starts.sentences
    assert sentence.startswith(f"Of {MOST_FIGURES + 2} deployments and tiers {MOST_FIGURES} are drawn, the slowest")


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("folder", sorted(GOLDEN.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_kind_of_plan_has_a_report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "draw", lambda *_: "")
    plan = load_plan(folder / "plan.json")
    found = parsed(report_page(plan))
    assert text(found.css_first("h1")) == plan.stack
    assert len(found.css("#warnings li p:not(.remedy)")) == len(plan.warnings)


words = (
    st.text(max_size=40)
    | st.sampled_from(HOSTILE)
    | st.tuples(st.text(max_size=9), st.sampled_from(HOSTILE)).map("".join)
)
NAMES = ("stack", "agent", "role", "model")


@pytest.fixture(scope="module")
def plain_tags() -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "draw", lambda *_: "")
        return tags(report_page(rich_plan()))


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, words)))
@settings(max_examples=examples(100), deadline=None)
def test_hostile_names_are_words_and_nothing_else(plain_tags: list[str], names: dict[str, str]) -> None:
    """The page of any names has the very elements of a page of plain ones, and shows the names as they are."""
    plan = rich_plan(**{name: word or "a" for name, word in names.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "draw", lambda *_: "")
        made = report_page(plan)
    assert tags(made) == plain_tags
    found = parsed(made)
    assert found.css_first("h1").text() == visible(plan.stack)
    assert found.css_first("title").text() == f"{visible(plan.stack)}: GPU plan"
    row = found.css_first("#asked tbody tr")
    assert row.css_first("th").text().strip() == visible(plan.workloads[0].agent).strip()
    assert row.css("td")[0].text().strip() == visible(plan.workloads[0].role or "").strip()
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069\u200b-\u200f\x00-\x08\x0b\x1b]", made)


@given(words, words)
@settings(max_examples=examples(16), deadline=None)
def test_hostile_names_are_words_in_drawings_too(name: str, title: str) -> None:
    plan = rich_plan(agent=name or "a")
    for part in report(plan).parts[:1]:
        for figure in part.figures[::2]:
            drawn = draw(figure.spec, "it", title, figure.summary)
            root = Xml.fromstring(drawn)
            assert {element.tag for element in root.iter()} <= {
                "svg", "g", "path", "rect", "line", "text", "title", "desc",
            }  # fmt: skip
            assert not parsed(drawn).css("script, image, a, foreignObject, style")
            assert root.findtext("title") == visible(title)


def test_a_drawing_keeps_shapes_and_words_alone() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="10" height="5">'
        '<style>*{color:red}</style><script>alert(1)</script><image href="https://example.com/x.png"/>'
        '<a xlink:href="https://example.com"><text>in a link</text></a><foreignObject><p>x</p></foreignObject>'
        '<defs><clipPath id="clip0"><path d="M1,1"/></clipPath></defs>'
        '<g class="mark-rect role-mark"><path aria-label="tip" d="M0,0.123456h9" onclick="x()" style="a:b" id="x"/></g></svg>'
    )
    drawn = cleaned(svg, "it", "Title", "Summary")
    assert drawn == (
        '<svg class="drawing" viewBox="0 0 10 5" role="img" aria-labelledby="it-title it-summary">'
        '<title id="it-title">Title</title><desc id="it-summary">Summary</desc>'
        '<path d="M0,0.12h9"><title>tip</title></path></svg>'
    )


def test_a_drawing_says_what_it_shows(page: str) -> None:
    found = parsed(page)
    assert len(found.css("figure svg")) == 9
    for figure in found.css("figure"):
        svg = figure.css_first("svg")
        assert svg.attributes["role"] == "img"
        assert text(svg.css_first("desc")) == text(figure.css_first("figcaption p"))
        assert figure.css_first("details table caption") is not None


@pytest.mark.parametrize("name", ["report", "parts", "simulation"])
def test_the_template_decides_nothing(name: str) -> None:
    source = (template_folder("report") / f"{name}.html.j2").read_text(encoding="utf-8")
    tree = page_module._environment().parse(source)
    for block in tree.find_all(nodes.If):
        assert isinstance(block.test, (nodes.Getattr, nodes.Not))
        assert not block.elif_
        assert not block.else_
    assert not list(tree.find_all(nodes.Filter))
    assert not list(tree.find_all((nodes.Compare, nodes.BinExpr, nodes.CondExpr, nodes.Test)))


def test_colours_of_drawings_and_keys_are_the_style_sheets(page: str, page_of_five: str) -> None:
    style = (template_folder("report") / "report.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    known = set(re.findall(r"--([a-z-]+):", light))
    assert known == set(re.findall(r"--([a-z-]+):", dark))
    used = set(re.findall(r"var\(--([a-z-]+)\)", page + page_of_five + style))
    assert used == known
    swatches = {node.attributes["class"].split()[1] for node in parsed(page_of_five).css(".swatch")}
    assert swatches <= set(re.findall(r"\.swatch\.([a-z-]+)", style))


def test_labels_take_no_more_room_than_there_is() -> None:
    assert shortened("support", 15) == "support"
    assert shortened("customer-service", 15) == "customer-servi…"
    assert shortened("客户服务代理人员专用系统", 15) == "客户服务代理…"
    assert shortened("a\u202eb", 15) == "a⟨U+202E⟩b"
