"""The installer of the real components, and the rule that CI skips none of their suites."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tools import install
from tools.install import NOT_BUILT, Component, InstallError, Run, install_all

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
