"""What Pulumi complains of, in a sentence with the command that mends it. The texts are those of Pulumi 3.259."""

from __future__ import annotations

import pytest

from agentgpu_iac.provisioning.engine.complaints import refusal, sentence, sentences
from agentgpu_iac.provisioning.engine.events import Complaint

GROUP = "urn:pulumi:dev::desk::agentgpu:index:AgentStack$aws:eks/nodeGroup:NodeGroup::l40s"

KNOWN = (
    (
        "error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions",
        "logged in nowhere", "pulumi login", 3,
    ),
    (
        "error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
        "passphrase", "export PULUMI_CONFIG_PASSPHRASE", 2,
    ),
    ("error: getting secrets manager: incorrect passphrase, please set PULUMI_CONFIG_PASSPHRASE to the correct passphrase",
     "does not open", "PULUMI_CONFIG_PASSPHRASE", 2),
    ("error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end",
     "another update", "pulumi cancel", 3),
)  # fmt: skip


@pytest.mark.parametrize(("said", "says", "mends", "code"), KNOWN)
def test_a_known_complaint_says_what_mends_it(said: str, says: str, mends: str, code: int) -> None:
    told = sentence(said)
    assert says in told
    assert mends in told
    assert "\n" not in told
    assert refusal(said).exit_code == code
    assert told.partition(" (")[0] in str(refusal(said))


def test_an_unknown_complaint_is_the_errors_of_what_was_said() -> None:
    said = "Previewing update (dev):\n\nerror: could not unmarshal\n  line 3\n"
    assert str(refusal(said)) == "pulumi: could not unmarshal line 3"
    assert sentences((), said) == ("could not unmarshal line 3",)
    assert sentences((), "one\ntwo\nthree\nfour") == ("two three four",)


def test_a_complaint_names_its_resource_and_stands_once() -> None:
    twice = (Complaint(text="error: no\n  capacity", urn=GROUP),) * 2
    assert sentences(twice, "error: update failed") == ("l40s (aws eks NodeGroup): no capacity",)


def test_of_a_traceback_stands_what_it_ends_with() -> None:
    text = "error: Program failed with an unhandled exception:\nTraceback (most recent call last):\n  File x\nKeyError: 'a'\n"
    assert sentence(text) == "KeyError: 'a'"
