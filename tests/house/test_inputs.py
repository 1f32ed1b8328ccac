"""Files of a user's are opened in one place: ``inputs`` knows what no file is and how much is read."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.sources import PACKAGE, modules

OWN = {
    "catalog/huggingface/architectures.py": "the data files of the package",
    "catalog/packaged.py": "the data files of the package",
    "rendering/templates.py": "the templates of the package",
    "spec/pulumi_project.py": "the locks of the package",
    "policy_pack/folder.py": "the locks of the package",
    "review/report/page.py": "the style sheet of the package",
    "operations/pinning.py": "an address on the network",
    "cli/files.py": "drafts that it makes and writes",
    "rendering/write.py": "a folder, for its lock",
    "simulation/fleet.py": "a machine to requests, which is no file",
}
"""What else is opened, and what it is."""
READS = {"read_text", "read_bytes"}


def openings(tree: ast.AST) -> Iterator[int]:
    """Lines that open a file to read it."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [value for value in (*node.args, *(word.value for word in node.keywords)) if is_mode(value)]
        if (name in READS and isinstance(node.func, ast.Attribute)) or (
            name == "open" and not any(set("wxa") & set(str(mode.value)) for mode in modes)
        ):
            yield node.lineno


def is_mode(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and set(node.value) <= set("rwxab+t")


def test_files_are_opened_in_one_place() -> None:
    found = {name for name, tree in modules().items() if list(openings(tree))}
    assert found - set(OWN) - {"cli/app.py"} == {"inputs.py"}
    assert set(OWN) <= found, "what no longer opens a file is no exception any more"


def test_the_command_line_opens_the_null_device_alone() -> None:
    text = (PACKAGE / "cli" / "app.py").read_text(encoding="utf-8")
    (line,) = openings(ast.parse(text))
    assert "os.devnull" in text.splitlines()[line - 1]


def test_json_of_a_file_is_read_by_the_bounded_reader() -> None:
    """What is left has been read by it before, was made here, or came over the network."""
    left = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"json.loads", "json.load"}
    }
    assert left == {
        "catalog/huggingface/architectures.py",
        "inputs.py",
        "clusters/kubernetes_api.py",
        "operations/pinning.py",
        "plan/endpoints.py",
        "plan/overlays.py",
        "plan/reading.py",
        "provisioning/aws/live_prices.py",
        "provisioning/engine/stack.py",
        "provisioning/spheron/client.py",
    }


YAML_READERS = {
    "provisioning/manifests.py": "files that were rendered just now",
    "provisioning/spheron/cloud_init.py": "files that were rendered just now",
    "rendering/yaml_text.py": "files that were rendered just now",
    "spec/yaml_tree.py": "the bounded reader",
}
"""Who parses YAML, and of whom."""
READS_YAML = {"load", "load_all", "safe_load", "safe_load_all", "full_load", "unsafe_load", "parse", "compose", "scan"}
OTHER_READERS = {
    *("tomllib", "pickle", "marshal", "shelve", "configparser", "zipfile", "tarfile", "gzip", "bz2", "lzma", "codecs"),
    *("linecache", "fileinput", "mmap", "runpy", "sqlite3"),
}
"""Libraries that open or unfold files by ways of their own."""
UNFOLDS = {"plan/packed_files.py": "gzip"}
"""Who unfolds what was packed just now."""


def test_yaml_of_a_file_is_read_by_the_bounded_reader() -> None:
    """PyYAML alone knows no bounds: aliases multiply, and depth ends the process."""
    found = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "yaml"
        and node.func.attr in READS_YAML
    }
    assert found == set(YAML_READERS)


def test_nothing_is_read_by_other_ways() -> None:
    imports = {
        (name, (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name)
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {each for each in imports if each[1].split(".")[0] in OTHER_READERS} == set(UNFOLDS.items())


def test_only_one_module_prints() -> None:
    """What is printed elsewhere might hold what a terminal obeys."""
    printing = {
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            ast.unparse(node.func) in {"print", "typer.echo", "typer.secho", "click.echo"}
            or (isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in {"sys.stdout", "sys.stderr"})
        )
        and ast.unparse(node.func)
        not in {"sys.stdout.isatty", "sys.stderr.isatty", "sys.stdout.fileno", "sys.stdout.flush"}
    }
    assert printing == {"cli/saying.py"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("path.read_text()", True),
        ("path.open('rb')", True),
        ("open(path)", True),
        ("path.open('x', encoding='utf-8')", False),
        ("path.open(mode='w')", False),
    ],
)
def test_what_counts_as_an_opening(text: str, found: bool) -> None:
    assert bool(list(openings(ast.parse(text)))) is found
