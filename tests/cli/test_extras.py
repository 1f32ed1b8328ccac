"""What needs an extra that is not installed: one sentence, and never one for a fault of ours."""

from __future__ import annotations

import pytest

from agentgpu_iac.errors import EXIT_BAD_INPUT, MissingExtra


def test_the_sentence_says_what_is_missing_and_what_to_install() -> None:
    error = ModuleNotFoundError("No module named 'kubernetes.client'", name="kubernetes.client")
    missing = MissingExtra("status", "cluster", error)
    assert str(missing) == "status: needs kubernetes, which is not installed (pip install 'agentgpu-iac[cluster]')"
    assert missing.exit_code == EXIT_BAD_INPUT


def test_an_import_of_our_own_that_fails_is_a_bug() -> None:
    ours = ModuleNotFoundError("No module named 'agentgpu_iac.nothing'", name="agentgpu_iac.nothing")
    with pytest.raises(ModuleNotFoundError) as raised:
        MissingExtra("status", "cluster", ours)
    assert raised.value is ours
