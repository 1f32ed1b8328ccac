"""The token of the model hub goes where nobody on the way can read it, and nowhere else."""

from __future__ import annotations

import email.message
import io
import urllib.error
import urllib.request
from collections.abc import Mapping

import pytest

from agentgpu_iac.errors import OutsideFailure
from agentgpu_iac.operations import pinning
from agentgpu_iac.operations.pinning import Places, model_revision

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("hub", "is_sent"),
    [
        ("https://hub.example.org", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080", True),
        ("http://hub.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://10.0.0.1", False),
    ],
)
def test_the_token_is_sent_by_https_or_to_this_machine(
    monkeypatch: pytest.MonkeyPatch, hub: str, is_sent: bool
) -> None:
    sent: list[Mapping[str, str]] = []

    def get(_url: str, headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
        sent.append(headers)
        return f'{{"sha": "{COMMIT}"}}'.encode(), {}

    monkeypatch.setattr(pinning, "_get", get)
    assert model_revision("acme/model", "main", Places(hub=hub, registries={}, token="sesame")) == COMMIT
    assert ("Authorization" in sent[0]) is is_sent


def test_a_hub_that_wants_a_token_in_clear_is_told_why_it_got_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def get(url: str, _headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
        raise urllib.error.HTTPError(url, 401, "no", email.message.Message(), io.BytesIO())

    monkeypatch.setattr(pinning, "_get", get)
    with pytest.raises(Exception, match="is sent by HTTPS or on this machine alone, and this is neither"):
        model_revision("acme/model", "main", Places(hub="http://hub.example.org", registries={}, token="sesame"))


@pytest.mark.parametrize(
    ("to", "is_kept"),
    [
        ("https://hub.example.org/b", True),
        ("http://hub.example.org/b", False),
        ("https://cdn.example.org/b", False),
    ],
)
def test_a_redirect_takes_the_token_to_the_same_host_by_https_alone(to: str, is_kept: bool) -> None:
    asked = urllib.request.Request("https://hub.example.org/a", headers={"Authorization": "Bearer sesame"})
    made = pinning._SameHost().redirect_request(asked, io.BytesIO(), 302, "found", email.message.Message(), to)
    assert made is not None
    assert made.has_header("Authorization") is is_kept


def test_what_failed_outside_is_told_without_how_we_signed_in() -> None:
    said = str(OutsideFailure("https://agent:s3cretpass@cluster.example.org does not answer: timed out"))
    assert "s3cretpass" not in said
    assert said.endswith("does not answer: timed out")
