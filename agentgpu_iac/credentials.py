"""Credentials that were pasted where a name belongs: what they look like, and texts without them.

A message, a log or a page that repeats one makes a second place from which it can be stolen, so no fault of ours does.
The forms are those that their issuers document; a password without a form of its own cannot be told from a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SIGNING_IN = r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/:@]*:[^\s/@]+@[^\s'\"]*"
_NAMED_IN = r"https?://[^\s/:@]+@[^\s'\"]*"
_WITH_KEY = (
    r"https?://[^\s?#'\"]{1,500}\?(?:[^\s#'\"]{0,500}[&;])?"
    r"(?i:[a-z0-9_.-]{0,30}(?:token|secret|password|passwd|api_?-?key|access_?-?key|signature|sig|auth))=[^&\s'\"]+[^\s'\"]*"
)
_MIXED = r"(?=[A-Za-z0-9]*[0-9A-Z])"
"""Letters of a key are capitals and digits too; words of a name are not."""

_FORMS: Final[Mapping[str, str]] = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*",
    "an address with a password": _SIGNING_IN,
    "an address with a token": _NAMED_IN,
    "an address with a key": _WITH_KEY,
    "a Hugging Face token": rf"\b(?:hf|api_org)_(?:{_MIXED}[A-Za-z0-9]{{6,}}|[A-Za-z0-9]{{24,}})",
    "an API key": (
        rf"\b(?:sk|pk|rk)[-_](?:[a-z0-9]+[-_]){{0,3}}{_MIXED}[A-Za-z0-9_]{{16,}}[A-Za-z0-9_-]*"
        r"|\b(?:gsk|xai|pplx|r8|fw)[-_][A-Za-z0-9]{20,}|\bnvapi-[A-Za-z0-9_-]{20,}|\bAIza[A-Za-z0-9_-]{30,}"
    ),
    "a Spheron key": r"\bsai_[ps]k_[A-Za-z0-9_-]{8,}",
    "a Pulumi token": r"\bpul-[0-9a-f]{40}",
    "a Grafana token": r"\bgl(?:sa|c)_[A-Za-z0-9_=+/-]{20,}",
    "a Vault token": r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}",
    "a Google token": r"\bya29\.[A-Za-z0-9_-]{20,}",
    "a DigitalOcean token": r"\bdo[opr]_v1_[0-9a-f]{40,}",
    "a Databricks token": r"\bdapi[0-9a-f]{32}",
    "a SendGrid key": r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "a Linear key": r"\blin_(?:api|oauth)_[A-Za-z0-9]{20,}",
    "an age key": r"\bAGE-SECRET-KEY-1[A-Z0-9]{30,}",
    "an Azure storage key": r"\bAccountKey=[A-Za-z0-9+/]{40,}={0,2}",
    "an address that is a key": (
        r"https?://(?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks"
        r"|[a-z0-9-]{1,63}\.webhook\.office\.com/webhookb2)/[^\s'\"]{8,}"
    ),
    "an AWS access key": r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{20,})",
    "a GitLab token": r"\bgl(?:pat|dt|rt|cbt|ptt|ft|soat)-[A-Za-z0-9_-]{16,}",
    "a Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "a Docker token": r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{16,}",
    "a package index token": r"\b(?:pypi-AgE|npm_)[A-Za-z0-9_-]{16,}",
    "a JSON Web Token": r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    "an AWS secret key": (
        r"(?<![A-Za-z0-9/+=])(?=[A-Za-z0-9/+]{0,39}[A-Z])(?=[A-Za-z0-9/+]{0,39}[a-z])(?=[A-Za-z0-9/+]{0,39}[0-9])"
        r"[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
    ),
}
"""What it is -> the form that it has. A form begins at few places of any text, or is short, so that a long text takes no
longer than it is long."""

_ANY: Final = re.compile("|".join(f"({form})" for form in _FORMS.values()))
_KINDS: Final = tuple(_FORMS)
_SIGNS_IN: Final = re.compile(f"{_SIGNING_IN}|{_NAMED_IN}|{_WITH_KEY}")


def credential_in(text: str) -> str | None:
    """What kind of credential a text holds, in words; None where it holds none that is known."""
    found = _ANY.search(text)
    return None if found is None else _KINDS[(found.lastindex or 1) - 1]


def signs_in(text: str) -> bool:
    """Whether an address in a text has a password or a token in it."""
    return _SIGNS_IN.search(text) is not None


def without_credentials(text: str) -> str:
    """The text with every credential replaced by what it is."""
    return _ANY.sub(lambda found: f"[{_KINDS[(found.lastindex or 1) - 1]}, not repeated]", text)
