"""The components from TypeScript: the package that ``pulumi package add`` puts into a project, and a program on it.

The real CLI generates it from the provider's schema, and the real npm installs it, with nothing fetched. The program is the one
of docs/pulumi-project.md. TypeScript's own compiler takes it, and refuses what is wrong; the real engine then runs it, by
Pulumi's own library for Node.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from agentgpu_iac import __version__
from tests.cli.running import agentgpu
from tests.e2e.cluster.conftest import cluster, equipped_cluster
from tests.e2e.cluster.control_plane import ControlPlane
from tests.e2e.pulumi.cli import Project
from tests.e2e.pulumi.kubernetes.scenes import drift, expected, left, plugins, stack
from tests.pages.blocks import BLOCKS
from tools.install import path as tool

__all__ = ["cluster", "equipped_cluster"]

PROVIDER = Path(sys.executable).with_name("pulumi-resource-agentgpu")
NAME = "typed"
PACKAGE = "@pulumi/agentgpu"
(PROGRAM,) = (each.text for each in BLOCKS if (each.page, each.language) == ("docs/pulumi-project.md", "typescript"))
OPTIONS = {
    "strict": True,
    "noEmit": True,
    "skipLibCheck": True,
    "module": "nodenext",
    "moduleResolution": "nodenext",
    "target": "es2022",
}
NOTHING_FETCHED = {"npm_config_offline": "true", "npm_config_audit": "false", "npm_config_update_notifier": "false"}
WRONG = (
    ('plan: "plan.json"', 'plann: "plan.json"', "'plann' does not exist in type 'AgentStackArgs'. Did you mean"),
    ('"plan.json"', '"plan.json", burstNodes: "2"', "Type 'string' is not assignable to type 'number'"),
    ("agents.agentUrls", "agents.urls", "Property 'urls' does not exist on type 'AgentStack'"),
)
"""What is written in place of what, and what the compiler says of it."""


class TypedProject(Project):
    """A project in TypeScript that has Pulumi's library installed, and then the package of the components."""

    def __init__(self, folder: Path, spec: str) -> None:
        super().__init__(folder, spec, plugins=plugins(), project=f"{{name: {NAME}, runtime: nodejs}}")
        self.environment["PATH"] += os.pathsep + str(tool("pulumi-language-nodejs").parent)
        self.environment |= NOTHING_FETCHED
        self.run("config", "rm", "agentgpu:spec")
        installed = tool("pulumi-nodejs")
        shutil.copytree(installed, self.folder / "node_modules", symlinks=True)
        shutil.copyfile(installed.with_name("package-lock.json"), self.folder / "package-lock.json")
        described = json.loads(installed.with_name("package.json").read_text(encoding="utf-8"))
        ours = {"main": "index.ts", "overrides": {"typescript": "$typescript"}}  # else a second one would be fetched
        for name, content in (
            ("package", described | ours),
            ("tsconfig", {"compilerOptions": OPTIONS, "include": ["*.ts"]}),
        ):
            (self.folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        self.added = self.run("package", "add", str(PROVIDER))
        self.write(PROGRAM)

    def write(self, program: str) -> None:
        """Change the program."""
        (self.folder / "index.ts").write_text(program, encoding="utf-8")

    def compile(self) -> str:
        """What TypeScript's compiler complains of; nothing where it takes the project's programs."""
        command = [str(word) for word in (self.folder / "node_modules/.bin/tsc", "--project", self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert bool(done.stdout) == bool(done.returncode), done
        return done.stdout


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> TypedProject:
    """One project for all that follows."""
    return TypedProject(tmp_path_factory.mktemp("typescript"), stack(NAME))


def test_the_package_is_in_the_project(typed: TypedProject) -> None:
    assert f'import * as agentgpu from "{PACKAGE}";' in typed.added.text
    described = json.loads((typed.folder / "package.json").read_text(encoding="utf-8"))
    assert described["dependencies"][PACKAGE] == "file:sdks/agentgpu"
    package = typed.folder / "node_modules" / PACKAGE
    assert package.resolve() == typed.folder / "sdks" / "agentgpu"
    assert (package / "bin" / "index.js").is_file(), "npm ran its script, which compiles it"
    project = yaml.safe_load((typed.folder / "Pulumi.yaml").read_text(encoding="utf-8"))
    assert project["packages"] == {"agentgpu": f"agentgpu@{__version__}"}


def test_the_compiler_takes_the_program_of_the_page_and_refuses_what_the_components_do_not_have(
    typed: TypedProject,
) -> None:
    assert typed.compile() == ""
    for index, (right, wrong, _) in enumerate(WRONG):
        assert right in PROGRAM
        (typed.folder / f"wrong{index}.ts").write_text(PROGRAM.replace(right, wrong), encoding="utf-8")
    complaints = typed.compile().splitlines()
    for index, (_, _, told) in enumerate(WRONG):
        (typed.folder / f"wrong{index}.ts").unlink()
        assert any(f"/wrong{index}.ts" in line and told in line for line in complaints), complaints
    assert not [line for line in complaints if "/index.ts" in line]


def test_the_engine_runs_the_program(typed: TypedProject, equipped_cluster: ControlPlane) -> None:
    typed.write(PROGRAM)
    objects = expected(stack(NAME))
    written = agentgpu("plan", typed.folder / "stacks" / "stack.yaml", "-o", typed.folder / "plan.json")
    assert written.code == 0, written.err
    typed.config("agentgpu:kubeconfig", str(equipped_cluster.kubeconfig))
    typed.config("agentgpu:context", "another")
    refused = typed.run("preview", expect=None)
    assert refused.code != 0
    assert "there is no context 'another'" in refused.text
    typed.config("agentgpu:context", "test")
    typed.up()
    assert drift(equipped_cluster, objects) == []
    cost = json.loads((typed.folder / "plan.json").read_text(encoding="utf-8"))["cost"]
    url = f"http://support.{NAME}.svc.cluster.local:8000/v1"
    assert typed.outputs() == {"url": url, "usdPerMonth": f"{cost['baselineUsdPerMonth']:.2f}"}
    typed.up("--expect-no-changes")
    typed.destroy()
    equipped_cluster.until("all is gone", lambda: not left(equipped_cluster, objects))
