"""Every block of code on every page is read by what would run it, and one that is not run says why."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.errors import BadInput
from agentgpu_iac.operations.publishing.settings import load_settings
from agentgpu_iac.review.policy_file import load_policies
from agentgpu_iac.spec.loader import load_text
from agentgpu_iac.spec.schema import json_schema
from tests.pages.blocks import BLOCKS, PAGES, ROOT, WRITTEN, Block, page_name
from tests.pages.commands import Command, commands_of, lines_of, refusal, why_not_run

LANGUAGES = {"sh", "console", "yaml", "json", "python", "text", "formula", "diagram", "dockerfile", "typescript"}
"""``formula`` and ``diagram`` are read by people alone; ``typescript`` is run by ``tests/e2e/pulumi/typescript``."""
HAND_WRITTEN = tuple(block for block in BLOCKS if block.page not in WRITTEN)
SHELL = tuple(block for block in BLOCKS if block.language == "sh")
SMALL = {
    "apiVersion": "agentgpu.dev/v1alpha1",
    "kind": "AgentStack",
    "metadata": {"name": "page"},
}
AGENT = {"name": "support", "model": "Qwen/Qwen3-14B"}


def of(*languages: str) -> Any:
    """The blocks in one of these languages, as parameters."""
    return [pytest.param(block, id=block.name) for block in HAND_WRITTEN if block.language in languages]


@pytest.mark.parametrize("block", HAND_WRITTEN, ids=lambda block: block.name)
def test_every_block_says_what_it_is(block: Block) -> None:
    """Indented blocks have no language: nobody can tell what would run them."""
    assert block.language in LANGUAGES
    if block.language == "text":
        assert block.kind, "a text block is the output of a command, or says why nothing here can print it"


def test_pages_that_commands_write_are_there() -> None:
    assert {page_name(path) for path in PAGES} >= set(WRITTEN)


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.name)
def test_a_shell_reads_it(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"<\w+>", block.text), "a shell reads <word> as a file: write the placeholder in capitals"


@pytest.mark.parametrize("block", of("sh", "console"))
def test_every_command_of_ours_is_one(block: Block) -> None:
    for line in shell_lines(block):
        why_not_run(line)
        for command in commands_of(line):
            if command.program == "agentgpu":
                assert not refusal(command), line


def shell_lines(block: Block) -> tuple[str, ...]:
    """What is typed: all of a script, of a console the lines after a prompt."""
    if block.language == "console":
        return tuple(line[2:] for line in block.text.splitlines() if line.startswith("$ "))
    return lines_of(block.text)


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_command_in_a_sentence_is_one(path: Path) -> None:
    for line in re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL).splitlines():
        for words in re.findall(r"`(agentgpu [a-z][^`]*)`", line):
            for command in commands_of(re.sub(r"[|\\]+", "/", words)):
                assert not refusal(command, whole=False), words


@pytest.mark.broad(every=5)
@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.name)
def test_targets_settings_and_files_that_it_names_are_there(block: Block) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    settings = set(yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"])
    for line in lines_of(block.text):
        for command in commands_of(line):
            if command.program == "make":
                assert {word for word in command.words[1:] if "=" not in word} <= targets, line
            if command.program == "pulumi":
                assert set(re.findall(r"agentgpu:(\w+)", line)) <= settings, line
        for path in re.findall(r"\bstacks/[\w./-]+", line):
            assert (ROOT / path).exists() or "my-stack" in path or path == "stacks/stack.yaml", path


READERS: dict[str, Callable[[Path], object]] = {"Policies": load_policies, "Publishing": load_settings}


@pytest.mark.broad(every=4)
@pytest.mark.parametrize("block", of("yaml"))
def test_every_yaml_is_what_it_looks_like(block: Block, tmp_path: Path) -> None:
    """A stack, an overlay, or a part of a stack that is put where it belongs."""
    value = yaml.safe_load(block.text)
    if "CatalogOverlay" in block.text:
        path = tmp_path / "overlay.yaml"
        path.write_text(block.text, encoding="utf-8")
        load_catalog(path)
    elif isinstance(value, dict) and value.get("kind") in READERS:
        path = tmp_path / "file.yaml"
        path.write_text(block.text, encoding="utf-8")
        READERS[value["kind"]](path)
    elif block.kind == "not run":
        assert block.words
    elif isinstance(value, dict) and {"apiVersion", "kind"} <= set(value) and value["kind"] != "AgentStack":
        assert value["metadata"]["name"], "an object of Kubernetes"
    elif isinstance(value, dict) and value.get("kind") == "AgentStack":
        if block.words.endswith(", faulty"):
            with pytest.raises(BadInput):
                load_text(block.text, block.name)
        else:
            load_text(block.text, block.name)
    else:
        load_text(yaml.safe_dump(whole_stack(value)), block.name)


def whole_stack(part: Any) -> Mapping[str, Any]:
    """The smallest stack that holds a part of one: agents, a ``spec``, fields of it, or fields of an agent."""
    if isinstance(part, list):
        return with_missing_agents({**SMALL, "spec": {"agents": part}})
    if set(part) == {"spec"}:
        return with_missing_agents({**SMALL, "spec": {"agents": [AGENT], **part["spec"]}})
    fields = json_schema()["$defs"]["StackSpec"]["properties"]
    if set(part) <= set(fields):
        return with_missing_agents({**SMALL, "spec": {"agents": [AGENT], **part}})
    return {**SMALL, "spec": {"agents": [{**AGENT, **part}]}}


def with_missing_agents(stack: Mapping[str, Any]) -> Mapping[str, Any]:
    """Agents that others name and models that the page leaves out."""
    agents = [{**AGENT, **agent} for agent in stack["spec"]["agents"]]
    named = {agent["fallback"] for agent in agents if "fallback" in agent}
    named |= {caller["agent"] for agent in agents for caller in agent.get("requests", {}).get("callers", ())}
    missing = sorted(named - {agent["name"] for agent in agents})
    return {**stack, "spec": {**stack["spec"], "agents": [*agents, *({**AGENT, "name": name} for name in missing)]}}


@pytest.mark.parametrize("block", of("python"))
def test_every_program_compiles_and_is_run_or_says_why_not(block: Block) -> None:
    """``tests/house/test_public_surface.py`` runs the one of the page about the library."""
    compile(block.text, block.name, "exec")
    assert block.page == "docs/python.md" or block.kind == "not run"


def test_a_command_that_is_not_there_is_seen() -> None:
    assert refusal(Command(words=("agentgpu", "plann", "x"))) == "there is no command 'plann'"
    assert refusal(Command(words=("agentgpu", "plan", "x", "--formt", "json")))
    assert refusal(Command(words=("agentgpu", "plan", "--formt")), whole=False) == "--formt"
    assert refusal(Command(words=("agentgpu", "plan", "x", "-f", "jsno")))
    assert not refusal(Command(words=("agentgpu", "catalog", "list", "models")))
    with pytest.raises(AssertionError, match="'kubectll' is no program"):
        why_not_run("kubectll get pods")


def test_a_line_is_taken_apart() -> None:
    line = "A=1 agentgpu plan x -f json > y.json && cat y.json | grep -i 'a b'"
    assert [command.words for command in commands_of(line)] == [
        ("agentgpu", "plan", "x", "-f", "json"),
        ("cat", "y.json"),
        ("grep", "-i", "a b"),
    ]
    assert lines_of("# no\na 'b\nc' d\ne \\\n  f\n") == ("a 'b\nc' d", "e    f")
