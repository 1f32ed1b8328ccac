"""Who has no credentials or no such profile, on the real engine: one sentence, its own exit code, and AWS is asked nothing."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.pulumi.aws.account import account
from tests.e2e.pulumi.aws.conftest import SPEC

ENGINE_REFUSED = 1
"""The engine's own code for a program that ends with an error."""


def test_missing_credentials_are_told_before_anything_is_made(tmp_path: Path) -> None:
    with account(tmp_path, SPEC) as made:
        made.project.run("config", "rm", "aws:skipCredentialsValidation")
        said = made.project.up(expect=None)
        assert said.code == ENGINE_REFUSED, said.text
        told = said.text.partition("Diagnostics:")[2]
        assert told.count("there are no AWS credentials on this machine") == 1, said.text
        assert "aws:profile" in told
        assert "Traceback" not in said.text
        made.project.config("aws:profile", "nobody")
        said = made.project.up(expect=None)
        assert said.code == ENGINE_REFUSED, said.text
        assert said.text.partition("Diagnostics:")[2].count("there is no AWS profile 'nobody' on this machine") == 1
        assert "Traceback" not in said.text
        assert made.what_is_there() == {}
