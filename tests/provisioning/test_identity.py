"""As whom AWS is asked: a profile that nobody has is told before anything is made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

from agentgpu_iac.provisioning.aws.identity import profile_faults


@pytest.fixture(autouse=True)
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "config").write_text("[profile production]\nregion = us-east-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    yield
    pulumi.runtime.set_all_config({})


def told(config: dict[str, str]) -> list[str]:
    pulumi.runtime.set_all_config(config)
    return [str(fault) for fault in profile_faults()]


def test_no_profile_and_one_that_is_there_are_no_faults() -> None:
    assert told({}) == []
    assert told({"aws:profile": "production"}) == []


def test_an_unknown_profile_of_the_stack_is_one_sentence() -> None:
    assert told({"aws:profile": "prodction"}) == [
        (
            "configuration of the Pulumi stack: aws:profile: there is no AWS profile 'prodction' on this machine "
            "(did you mean 'production'?)"
        )
    ]


def test_an_unknown_profile_of_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "xyz")
    assert told({}) == [
        (
            "environment: AWS_PROFILE: there is no AWS profile 'xyz' on this machine "
            "(aws configure list-profiles names those that there are)"
        )
    ]
