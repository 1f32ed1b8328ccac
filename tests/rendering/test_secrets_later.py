"""A machine that is made without its secrets: what its setup does before they are brought, and what then."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.plans import make_machines_plan
from tests.rendering.test_hosts import ANSWERS, STUBS, set_up

PLAN = make_machines_plan("spheron", api_key="k")
START = "systemctl restart --no-block agentgpu.service"
NOT_PREPARED = 'case "$1" in is-enabled) exit 1;; esac'


def run(
    tmp_path: Path, word: str, *, brought: bool, options: tuple[str, ...] = ("--yes",), **answers: str
) -> list[str]:
    """What the setup script calls, and says; the secrets are there, or nowhere."""
    secrets = tmp_path / "brought.env"
    if brought:
        secrets.write_text("VLLM_API_KEY='callers-key'\n")
    swaps = [(f"SECRETS={tmp_path}/secrets.env", f"SECRETS={secrets}")]
    code, called, said = set_up(tmp_path, word, plan=PLAN, swaps=swaps, options=options, **answers)
    assert code == 0, said
    assert "callers-key" not in said
    return [*called, *said.splitlines()]


def test_without_secrets_everything_is_prepared_and_nothing_starts(tmp_path: Path) -> None:
    done = run(tmp_path, "prepare", brought=False, docker='case "$*" in *pull*) echo "key $VLLM_API_KEY";; esac')
    firewall = next(index for index, call in enumerate(done) if call.startswith("nft -f"))
    toolkit = done.index("nvidia-ctk runtime configure --runtime=docker")
    enabled = done.index("systemctl enable agentgpu.service")
    pulled = done.index(f"docker compose --project-directory {tmp_path}/agentgpu pull --quiet")
    assert firewall < toolkit < enabled < pulled, "who brings the secrets meanwhile sees that all is prepared"
    assert "key -" in done, "images need no secret, and Compose asks for each"
    assert "agentgpu: prepared; nothing starts before pulumi up has brought the secrets by SSH" in done
    assert START not in done
    assert not [call for call in done if call.startswith("openssl")], "its certificate is brought too"
    assert not (tmp_path / "brought.env").exists()


def test_images_that_cannot_be_pulled_now_are_no_fault(tmp_path: Path) -> None:
    run(tmp_path, "prepare", brought=False, docker='case "$*" in *pull*) exit 1;; esac')


@pytest.mark.parametrize("word", ["prepare", "secrets"])
def test_whichever_is_later_starts_the_engines(tmp_path: Path, word: str) -> None:
    done = run(tmp_path, word, brought=True)
    assert done.count(START) == 1
    assert (tmp_path / "brought.env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "agentgpu" / ".env").resolve() == tmp_path / "brought.env"
    assert not [call for call in done if "pull" in call]
    assert any(call.startswith("chown") and call.endswith(f"{tmp_path}/tls/tls.crt") for call in done)


def test_secrets_that_come_first_wait_for_the_setup(tmp_path: Path) -> None:
    done = run(tmp_path, "secrets", brought=True, systemctl=NOT_PREPARED)
    assert done[-1] == "agentgpu: the setup that still runs goes on with them"
    assert START not in done


COMES = """
if [ ! -e {folder}/brought.env ] && [ "$(wc -l <{folder}/calls)" = {moment} ]; then
    echo "VLLM_API_KEY='callers-key'" >{folder}/brought.env
    if [ {word} = at-once ]; then
        exec 8>{folder}/over
        flock 8
        bash {folder}/agentgpu/setup.sh secrets >{folder}/said 2>&1 &
    fi
fi
case "${{0##*/}} $1 $2" in
    "systemctl enable agentgpu.service") touch {folder}/enabled ;;
    "systemctl is-enabled --quiet") [ -e {folder}/enabled ] || exit 1 ;;
esac
"""
"""What each program does: at the moment of that many calls the secrets come, and the word of them at once or when all is over."""


def called(folder: Path, moment: int, word: str) -> list[str]:
    """What a setup calls, and whoever brings its secrets meanwhile."""
    folder.mkdir()
    comes = COMES.format(folder=folder, moment=moment, word=word)
    answers = {name: f"{comes}\n{ANSWERS.get(name, '')}" for name in STUBS}
    run(folder, "prepare", brought=False, **answers)
    subprocess.run(["flock", folder / "over", "true"], check=True, timeout=60)
    if word == "last":
        run(folder, "secrets", brought=True, **answers)
    return (folder / "calls").read_text().splitlines()


@pytest.mark.broad(every=2)
@pytest.mark.parametrize("word", ["at-once", "last"])
def test_at_whatever_moment_secrets_come_they_start_the_engines_once(tmp_path: Path, word: str) -> None:
    alone = called(tmp_path / "never", -1, "never")
    assert START not in alone
    first = alone.index("nvidia-ctk runtime configure --runtime=docker")
    for moment in range(first, len(alone) + 1):
        calls = called(tmp_path / str(moment), moment, word)
        assert calls.count(START) == 1, (moment, calls)


def test_a_dry_run_prepares_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "prepare", brought=False, options=("--dry-run",))
    assert not [call for call in done if call.startswith(("docker compose --project", "systemctl", "nft"))]
    assert any(line.startswith("agentgpu: would run: env VLLM_API_KEY=- docker compose") for line in done)
