"""The installer of the real components, and the rule that CI skips none of their suites."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools import install
from tools.install import (
    NOT_BUILT,
    Component,
    GoPrograms,
    InstallError,
    Module,
    ModuleFiles,
    NodePackages,
    Pulumi,
    PythonLibrary,
    Run,
    TrimmedGoPrograms,
    install_all,
)

pytest_plugins = ("pytester",)


@dataclass(frozen=True, kw_only=True)
class Easy(Component):
    def build(self, run: Run, folder: Path) -> None:
        run("true")
        (folder / self.name).write_text("here")


@dataclass(frozen=True, kw_only=True)
class Broken(Component):
    def build(self, run: Run, folder: Path) -> None:
        (folder / "half").write_text("half")
        run("no-such-compiler")


@pytest.fixture(autouse=True)
def tools_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTGPU_TOOLS", str(tmp_path))
    return tmp_path


def test_what_cannot_be_built_is_named_with_its_reason_and_does_not_stop_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken, easy = Broken(name="broken", cold_s=1), Easy(name="easy", cold_s=2)
    assert install_all((broken, easy)) == NOT_BUILT == 3
    said = capsys.readouterr().out
    assert "broken: FAILED: no-such-compiler is not there" in said
    assert "not built: broken" in said
    assert not broken.is_complete
    assert easy.is_complete


def test_what_is_there_is_not_built_again(capsys: pytest.CaptureFixture[str]) -> None:
    easy = Easy(name="easy", cold_s=1)
    assert install_all((easy,)) == 0
    (easy.folder / "easy").write_text("touched")
    assert install_all((easy,)) == 0
    assert (easy.folder / "easy").read_text() == "touched"
    assert "easy: there" in capsys.readouterr().out


def test_a_missing_component_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "COMPONENTS", (Easy(name="easy", cold_s=1),))
    with pytest.raises(InstallError, match="run: make tools"):
        install.path("easy")
    with pytest.raises(InstallError, match="there is no hard; known: easy"):
        install.path("hard")


def test_each_row_is_locked_by_files_that_are_there_and_no_name_is_given_twice() -> None:
    names = [name for component in install.COMPONENTS for name in component.provides]
    assert len(names) == len(set(names))
    assert [lock for component in install.COMPONENTS for lock in component.locks if not lock.is_file()] == []


@dataclass(frozen=True, kw_only=True)
class GoClient(Run):
    """Stands in for the go command: what is built holds its package's name, a download answers with a folder."""

    module: Path
    sum: str = "h1:right"

    def __call__(self, *command: str | Path, cwd: Path | None = None, **environment: str) -> str:
        if command[1] == "build":
            Path(command[command.index("-o") + 1]).write_text(str(command[-1]))
        return json.dumps({"Dir": str(self.module), "Sum": self.sum})


PULUMI = Pulumi(
    name="pulumi",
    cold_s=1,
    programs=(("pulumi", "cli"),),
    host=GoPrograms(name="pulumi-language-python", cold_s=1, programs=(("pulumi-language-python", "host"),)),
    scripts=ModuleFiles(module="sdk", version="v1.0.0", sum="h1:right", paths=("cmd/pulumi-language-python-exec",)),
)


def test_pulumi_its_host_and_its_scripts_lie_side_by_side_and_can_be_run(tmp_path: Path) -> None:
    module, folder = tmp_path / "module", tmp_path / "folder"
    (module / "cmd").mkdir(parents=True)
    folder.mkdir()
    (module / "cmd" / "pulumi-language-python-exec").write_text("shim")
    (module / "cmd" / "pulumi-language-python-exec").chmod(0o444)
    PULUMI.build(GoClient(log=tmp_path / "log", module=module), folder)
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        "pulumi": "cli",
        "pulumi-language-python": "host",
        "pulumi-language-python-exec": "shim",
    }
    assert os.access(folder / "pulumi-language-python-exec", os.X_OK)
    assert {"go.mod", "go.sum"} == {lock.name for lock in PULUMI.locks}
    assert {"pulumi", "pulumi-language-python"} == {lock.parent.name for lock in PULUMI.locks}


def test_a_module_of_another_sum_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"sdk@v1\.0\.0 has the sum h1:wrong, not h1:right"):
        install.copy_files(GoClient(log=tmp_path / "log", module=tmp_path, sum="h1:wrong"), PULUMI.scripts, tmp_path)


def test_a_main_of_our_own_is_part_of_its_lock() -> None:
    provider = GoPrograms(name="pulumi-kubernetes", cold_s=1, programs=(("pulumi-resource-kubernetes", "."),))
    assert [lock.name for lock in provider.locks] == ["go.mod", "go.sum", "main.go"]


@dataclass(frozen=True, kw_only=True)
class NodeClient(Run):
    """Stands in for npm: it shows what it was asked where."""

    def __call__(self, *command: str | Path, cwd: Path | None = None, **environment: str) -> str:
        assert cwd is not None
        (cwd / "asked").write_text(
            f"{' '.join(map(str, command))}: {' '.join(sorted(each.name for each in cwd.iterdir()))}"
        )
        return ""


def test_packages_of_node_are_those_of_the_lock_and_run_nothing(tmp_path: Path) -> None:
    packages = NodePackages(name="pulumi-nodejs", cold_s=1)
    packages.build(NodeClient(log=tmp_path / "log"), tmp_path)
    assert (tmp_path / "asked").read_text() == (
        "npm ci --ignore-scripts --no-audit --no-fund: package-lock.json package.json"
    )
    assert packages.provides == {"pulumi-nodejs": "node_modules"}
    lock = json.loads(packages.locks[1].read_text())["packages"]
    assert [name for name, each in lock.items() if name and not ("integrity" in each and "resolved" not in each)] == []


def test_the_host_of_node_programs_is_of_the_command_lines_own_release() -> None:
    """Then the two share what Go compiles for them, and packages come from the generator of that release."""
    ours, cli = (
        dict(line.split()[:2] for line in (install.HERE / name / "go.mod").read_text().splitlines() if line[:1] == "\t")
        for name in ("pulumi-language-nodejs", "pulumi")
    )
    assert ours.items() <= cli.items()
    main = (install.HERE / "pulumi-language-nodejs" / "main.go").read_text()
    assert f'version = "{ours["github.com/pulumi/pulumi/pkg/v3"].removeprefix("v")}"' in main


PROVIDER = TrimmedGoPrograms(
    name="pulumi-aws",
    cold_s=1,
    programs=(("pulumi-resource-aws", "."),),
    whole=Module(module="provider", version="v1.0.0", sum="h1:right"),
)
LIST = """\
import (
	"context"
	"provider/internal/service/eks"
	"provider/internal/service/lambda"
)

func servicePackages(ctx context.Context) []ServicePackage {
	return []ServicePackage{
		eks.ServicePackage(ctx),
		lambda.ServicePackage(ctx),
	}
}
"""
CLIENTS = """\
package conns

import (
	"context"
	eks "sdk/service/eks"
	"sdk/service/lambda"
)

func (c *AWSClient) EKSClient(ctx context.Context) *eks.Client {
	return client[*eks.Client](ctx)
}

func (c *AWSClient) LambdaClient(ctx context.Context) *lambda.Client {
	return client[*lambda.Client](ctx)
}
"""


def test_a_provider_is_compiled_with_the_services_alone_that_are_used(tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "folder"
    files = {
        "internal/provider/sdkv2/service_packages_gen.go": LIST,
        "internal/conns/awsclient_gen.go": CLIENTS,
        "internal/service/eks/cluster.go": 'import "provider/internal/service/tags"\n conn := c.EKSClient(ctx)\n',
        "internal/service/eks/cluster_test.go": "conn := c.LambdaClient(ctx)\n",
        "internal/service/tags/tags.go": "package tags\n",
        "internal/service/lambda/function.go": "conn := c.LambdaClient(ctx)\n",
        "internal/service/lambda/smarterr.hcl": "texts\n",
        **{f"{name}/file.go": "package file\n" for name in ("names", "version", "xpprovider")},
        "go.mod": "module provider\n",
        "go.sum": "",
        "website/page.md": "not compiled\n",
    }
    for path, text in files.items():
        (whole / path).parent.mkdir(parents=True, exist_ok=True)
        (whole / path).write_text(text, encoding="utf-8")
        (whole / path).chmod(0o444)
    subprocess.run([sys.executable, PROVIDER.locks[-1], whole, folder], check=True)
    kept = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert kept == set(files) - {
        "internal/service/eks/cluster_test.go",
        "internal/service/lambda/function.go",
        "website/page.md",
    }
    services = (folder / "internal/provider/sdkv2/service_packages_gen.go").read_text("utf-8")
    clients = (folder / "internal/conns/awsclient_gen.go").read_text("utf-8")
    assert "eks.ServicePackage" in services
    assert "EKSClient" in clients
    assert "lambda" not in services + clients.lower()


def test_what_is_trimmed_lies_beside_the_wrapper_while_it_is_compiled(tmp_path: Path) -> None:
    seen: list[set[str]] = []

    @dataclass(frozen=True, kw_only=True)
    class Watching(GoClient):
        def __call__(self, *command: str | Path, cwd: Path | None = None, **environment: str) -> str:
            if command[0] == sys.executable:
                Path(command[-1]).mkdir()
            if "build" in command:
                assert cwd is not None
                seen.append({path.name for path in cwd.iterdir()})
            return super().__call__(*command, cwd=cwd, **environment)

    PROVIDER.build(Watching(log=tmp_path / "log", module=tmp_path), tmp_path)
    assert seen == [{"go.mod", "go.sum", "kinds.go", "main.go", "trim.py", "trimmed"}]
    assert (tmp_path / "pulumi-resource-aws").is_file()


def test_a_library_is_reached_by_its_interpreter() -> None:
    assert PythonLibrary(name="skypilot", cold_s=1, interpreter="sky-python").provides == {"sky-python": "bin/python"}


CONFTEST = (Path(__file__).parents[1] / "conftest.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(("mark", "passes"), [("skip(reason='no etcd')", False), ("optional", True)])
def test_a_skipped_test_fails_ci_unless_it_is_optional(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, mark: str, passes: bool
) -> None:
    monkeypatch.setenv("CI", "true")
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\nmarkers = optional")
    pytester.makepyfile(
        f"import pytest\n@pytest.mark.{mark}\ndef test_it():\n    pytest.skip('no etcd')\ndef test_other():\n    pass\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    assert (result.ret == 0) is passes
    if not passes:
        result.stdout.fnmatch_lines(["skipped, though CI must run it: *test_it*"])
