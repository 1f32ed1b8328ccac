"""Credentials pasted where names belong are refused, and stand in no message."""

from __future__ import annotations

import re

import pytest

from agentgpu_iac.calculators.calculator import PREDICT, SIZE
from agentgpu_iac.catalog.store import load_catalog
from agentgpu_iac.credentials import credential_in, without_credentials
from agentgpu_iac.errors import BadInput, Fault
from agentgpu_iac.spec.addresses import keeps_secrets
from agentgpu_iac.spec.loader import load_text
from agentgpu_iac.spec.schema import json_schema

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
    "a user in an address": "https://deploy@git.example.org/agents.git",
    "token as a query": "https://prometheus.example.org/api?x=1&access_token=abc",
    "signature in an address": "https://models.example.org/a?X-Amz-Signature=00ff",
    "spheron": "sai_" + "pk_4f9Ab3kQ0z7LmN2pR8sT",
    "pulumi": "pul-" + "0a1b2c3d" * 5,
    "grafana": "glsa_" + "HOruNAb7SOiCdshU5alg" + "_55e2f8be",
    "vault": "hvs." + "CAESIJ1lq0ZkzYb7pB4o9QxW",
    "google": "ya29." + "a0AfH6SMBx1y2z3w4v5u6t7s",
    "digitalocean": "dop_v1_" + "ab12" * 16,
    "databricks": "dapi" + "0123456789abcdef" * 2,
    "sendgrid": "SG." + "ngeVfQFYQlKU0ufo8x5d1A" + ".TwL2iGABf9DHoTf09kqeF8tAm",
    "linear": "lin_api_" + "AbCdEfGhIj" * 4,
    "age": "AGE-SECRET-KEY-" + "1QYQSZQGP" * 6,
    "azure": "AccountKey=" + "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50u",
    "a webhook that is a key": "https://hooks.slack.com/services/" + "T00000000/B00000000/XXXXXXXX",
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
    "https://huggingface.co/@someone/model?tab=files",
    "https://example.org/authors?author=me&tokens=3",
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


@pytest.mark.broad(every=5)
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


@pytest.mark.broad(every=4)
@pytest.mark.parametrize(
    "unit",
    ["a", "A1", "eyJ-", "sk-a-", "hf_", "a://", "a://b:", "-----BEGIN A", "/a", "gh", "+.", "SG.", "hvs", "dapi", "1Q"],
)
def test_a_long_text_takes_no_longer_than_it_is_long(unit: str) -> None:
    """A form that begins anywhere and ends nowhere would take minutes here."""
    assert credential_in(without_credentials(unit * (200_000 // len(unit)))) is None


ADDRESSES = {
    "gitops.repository": "gitops: {{tool: flux, path: a, repository: '{0}'}}",
    "scaling.prometheusUrl": "scaling: {{prometheusUrl: '{0}'}}",
    "observability.runbookBaseUrl": "observability: {{runbookBaseUrl: '{0}'}}",
    "agents[0].paidFallback.baseUrl": (
        "agents: [{{name: support, model: Qwen/Qwen3-8B, paidFallback: {{apiModel: openai/a, keySecret: k, usdPerDay: 1, "
        "usdPerMillionInput: 1, usdPerMillionOutput: 1, baseUrl: '{0}'}}}}]"
    ),
}
"""Every field of a spec that holds an address; the schema tells which (below)."""


def with_address(field: str, address: str) -> str:
    line = ADDRESSES[field].format(address)
    others = "" if line.startswith("agents") else "  agents: [{name: support, model: Qwen/Qwen3-8B}]\n"
    return f"{HEAD}  {line}\n{others}"


def test_every_field_that_takes_an_address_is_among_them() -> None:
    """A pattern that takes one takes https://example.org/a."""
    found = set()
    schema = json_schema()
    for part in (schema, *schema["$defs"].values()):
        for name, field in part.get("properties", {}).items():
            kinds = (field, *field.get("anyOf", ()))
            if any("pattern" in kind and re.search(kind["pattern"], "https://example.org/a") for kind in kinds):
                found.add(name)
    assert found == {field.rpartition(".")[2] for field in ADDRESSES}


@pytest.mark.parametrize("field", ADDRESSES)
@pytest.mark.parametrize(
    "address",
    [
        "https://deploy:s3cret@example.org/a",
        "https://s3cret@example.org/a",
        "https://:s3cret@example.org/a",
        "http://u:s3cret@10.0.0.1:9090",
        "https://example.org/a?token=s3cret",
        "https://-oProxyCommand=s3cret/a",
        "ssh://-oProxyCommand=s3cret/a",
        "ssh://git@-oProxyCommand=s3cret/a",
        "ssh://git:s3cret@example.org/a",
        "git@-oProxyCommand=s3cret:a",
        "git@example.org:-s3cret",
        "https://example.org/-s3cret\\u0020x",
    ],
)
def test_nobody_signs_in_by_an_address_and_none_is_an_option(field: str, address: str) -> None:
    found = refused(with_address(field, address))
    assert any(fault.path == f"spec.{field}" for fault in found.faults)
    assert not any(secret in str(found) for secret in ("s3cret@", ":s3cret", "=s3cret@", "token=s3cret"))


@pytest.mark.parametrize(
    "address",
    [
        "https://git.example.org:8443/acme/agents.git",
        "https://[2001:db8::1]/acme/agents.git",
        "ssh://git@git.example.org:22/acme/agents.git",
        "ssh://git.example.org/~acme/agents.git",
        "git@git.example.org:acme/agents.git",
        "git@git.example.org:/acme/agents.git",
    ],
)
def test_addresses_of_repositories_stay_what_they_are(address: str) -> None:
    stack = load_text(with_address("gitops.repository", address), "stack.yaml").stack
    assert stack.spec.gitops is not None
    assert stack.spec.gitops.repository == address


@pytest.mark.parametrize(
    ("address", "keeps"),
    [
        ("https://api.example.org", True),
        ("http://127.0.0.1:8080/x", True),
        ("http://[::1]:1", True),
        ("http://localhost", True),
        ("http://api.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://localhost.example.org", False),
        ("https://user@api.example.org", False),
        ("https://-x", False),
        ("ftp://127.0.0.1", False),
        ("https://api.example.org/a b", False),
    ],
)
def test_keys_are_sent_where_nobody_reads_along(address: str, keeps: bool) -> None:
    assert keeps_secrets(address) is keeps
