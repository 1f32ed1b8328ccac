"""Texts that name a place on a machine mean the places that ``plan/machine_paths.py`` names."""

import re
import string
from pathlib import Path

import pytest

from agentgpu_iac.plan import machine_paths as paths
from agentgpu_iac.rendering.templates import verbatim
from agentgpu_iac.spec import abilities

TEXTS = (*sorted(Path("templates/hosts").iterdir()), Path(abilities.__file__))
PLACES = {value for value in vars(paths).values() if isinstance(value, str) and value.startswith("/")}
KNOWN = PLACES | {"/etc/agentgpu", f"{paths.MACHINE_FOLDER}/docker-compose.yaml"}


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.name)
def test_every_place_that_a_text_names_is_a_known_one(text: Path) -> None:
    assert set(re.findall(r"/(?:etc|opt)/agentgpu[\w./-]*\w", text.read_text(encoding="utf-8"))) <= KNOWN


def test_the_setup_looks_where_files_are_put() -> None:
    words = dict(re.findall(r"^([A-Z]+)=(/.*)$", verbatim(paths.SETUP), flags=re.MULTILINE))

    assert words == {
        "HERE": paths.MACHINE_FOLDER,
        "SECRETS": paths.SECRETS_FILE,
        "TLS": paths.TLS_FOLDER,
        "MACHINES": paths.MACHINES_FOLDER,
        "FRONT": paths.FRONT_FILE,
        "RULES": paths.FIREWALL_RULES_FOLDER,
        "LOCK": "/run/agentgpu.lock",
        "STARTED": "/run/agentgpu.started",
        "INTERFACES": "/sys/class/net",
    }
    body = string.Template(verbatim(paths.SETUP)).safe_substitute(words)
    for file in (paths.MACHINES_LIST_FILE, paths.CERTIFICATE_FILE, paths.CERTIFICATE_KEY_FILE, paths.FIREWALL_FILE):
        assert f'"{file}"' in body


def test_the_hint_to_a_secret_store_names_the_file_of_secrets() -> None:
    assert f"each machine reads {paths.SECRETS_FILE}" in Path(abilities.__file__).read_text(encoding="utf-8")
