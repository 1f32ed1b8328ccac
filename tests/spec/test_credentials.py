"""Credentials pasted where names belong are refused, and stand in no message."""

from __future__ import annotations

import pytest

from agentgpu_iac.calculators.calculator import PREDICT, SIZE
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.credentials import credential_in, without_credentials
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.spec.loader import load_text

CREDENTIALS = {
    "hugging face": "hf_AbCdEfGhIjKlMnOpQrStUvWxYz01234567",
    "a short one": "hf_Abc123Def456",
    "openai": "sk-proj-4fK2mNq8RtYv1xZb7cD3eG6h",
    "anthropic": "sk-ant-api03-AbC1dEf2GhI3jKl4MnO5-pQr",
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "aws secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "github": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "github fine": "github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ",
    "gitlab": "glpat-AbCdEfGhIjKlMnOpQrSt",
    "nvidia": "nvapi-AbCdEfGhIjKlMnOpQrStUvWx",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3",
    "key": "-----BEGIN RSA PRIVATE KEY-----MIIEowIBAAKCAQEA7x",
    "address": "https://deploy:s3cretpass@git.example.org/agents.git",
    "token in an address": "https://ghp_16C7e42F292c6912E7710c838347Ae178B4a@github.com/acme/agents.git",
}
NAMES = (
    "hf-token",
    "hf_token",
    "Qwen/Qwen3-14B",
    "mistralai/Mistral-7B-Instruct-v0.3",
    "sk-customer-service-callers",
    "vllm/vllm-openai@sha256:" + "0123456789abcdef" * 4,
    "0e9e39f249a16976918f6564b8830bc894c89659",
    "https://prometheus.example.org:9090/api",
    "git@git.example.org:acme/agents.git",
    "ssh://git@git.example.org/acme/agents.git",
    "orchestrator that routes tickets",
    "s3://acme-models/agents",
)
EVERYWHERE = {
    "a Secret's name": "  modelCache: {{tokenSecret: '{0}'}}\n  agents: [{{name: one, model: Qwen/Qwen3-8B}}]\n",
    "an API key's Secret": "  security: {{apiKeySecret: '{0}'}}\n  agents: [{{name: one, model: Qwen/Qwen3-8B}}]\n",
    "an agent's name": "  agents: [{{name: '{0}', model: Qwen/Qwen3-8B}}, {{name: '{0}', model: Qwen/Qwen3-8B}}]\n",
    "a role": "  agents: [{{name: one, role: '{0}', model: Qwen/Qwen3-8B}}]\n",
    "a model": "  agents: [{{name: one, model: '{0}'}}]\n",
    "a fallback": "  agents: [{{name: one, model: Qwen/Qwen3-8B, fallback: '{0}'}}]\n",
    "a region": "  regions: ['{0}']\n  agents: [{{name: one, model: Qwen/Qwen3-8B}}]\n",
    "a word": "  target: '{0}'\n  agents: [{{name: one, model: Qwen/Qwen3-8B}}]\n",
    "a number": "  agents: [{{name: one, model: Qwen/Qwen3-8B, ttftMs: '{0}'}}]\n",
    "a key": "  '{0}': 1\n  agents: [{{name: one, model: Qwen/Qwen3-8B}}]\n",
    "an unknown key's value": "  token: '{0}'\n  agents: [{{name: one, model: Qwen/Qwen3-8B}}]\n",
}
HEAD = "apiVersion: agentgpu.dev/v1alpha1\nkind: AgentStack\nmetadata: {name: demo}\nspec:\n"


def refused(text: str) -> BadInput:
    with pytest.raises(BadInput) as found:
        load_text(text, "stack.yaml")
    return found.value


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize("secret", CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_a_credential_is_refused_at_its_line_and_not_repeated(place: str, secret: str) -> None:
    error = refused(HEAD + EVERYWHERE[place].format(secret))
    assert any("looks like" in fault.message and fault.line for fault in error.faults)
    for fault in error.faults:
        for part in (fault.message, fault.hint, fault.path, str(fault)):
            assert secret not in part
            assert secret.lower() not in part.lower()
            assert secret.replace("_", "-").lower() not in part.lower()


def test_everything_else_in_the_file_is_still_said() -> None:
    error = refused(
        HEAD + f"  agents: [{{name: {CREDENTIALS['openai']}, model: Qwen/Qwen3-8B, ttftMs: -1}}]\n  targt: eks\n"
    )
    assert {fault.path for fault in error.faults} == {"spec.agents[0].name", "spec.agents[0].ttftMs", "spec"}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_credentials(name: str) -> None:
    assert credential_in(name) is None
    assert without_credentials(name) == name


def test_no_fault_repeats_a_credential_whoever_makes_it() -> None:
    secret = CREDENTIALS["github"]
    assert secret not in str(Fault(source=secret, path=secret, message=f"no {secret!r}", hint=f"write {secret}"))


@pytest.mark.parametrize("calculator", [SIZE, PREDICT], ids=["size", "predict"])
@pytest.mark.parametrize("field", ["model", "accelerator"])
def test_calculators_do_not_repeat_one_either(calculator: object, field: str) -> None:
    secret = CREDENTIALS["hugging face"]
    question = {"model": "Qwen/Qwen3-8B", "accelerator": "l4", "input-tokens": 1, "output-tokens": 1, "concurrency": 1}
    if calculator is SIZE:
        question = {"model": "Qwen/Qwen3-8B", "accelerator": "l4"}
    with pytest.raises(BadInput) as found:
        calculator.answer({**question, field: secret}, load_catalog())  # type: ignore[attr-defined]
    assert secret.lower() not in str(found.value).lower()


@pytest.mark.parametrize(
    "unit", ["a", "A1", "eyJ-", "sk-a-", "hf_", "a://", "a://b:", "-----BEGIN A", "/a", "gh", "+."]
)
def test_a_long_text_takes_no_longer_than_it_is_long(unit: str) -> None:
    """A form that begins anywhere and ends nowhere would take minutes here."""
    assert credential_in(without_credentials(unit * (200_000 // len(unit)))) is None
