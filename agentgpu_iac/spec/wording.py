"""Plain words for what the models reject.

The models check; this module says what they found. Nothing here decides whether a value is good.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pydantic_core import ErrorDetails

from agentgpu_iac.characters import character_name
from agentgpu_iac.errors import did_you_mean
from agentgpu_iac.spec.document import Document
from agentgpu_iac.spec.model import Agent, AgentStack, StackSpec
from agentgpu_iac.spec.scalars import meaning_of, shown
from agentgpu_iac.spec.shape import document_at, fields_of, parts_of, words_at
from agentgpu_iac.spec.vocabulary import TARGET_MEANINGS
from agentgpu_iac.spec.words_of_others import meant_by
from agentgpu_iac.spec.yaml_tree import ListNode, MapNode, Node, ScalarNode, Steps
from agentgpu_iac.units import counted

WHOLE_NUMBER = "a whole number"
NUMBER = "a number"
TEXT = "text"
TRUE_OR_FALSE = "true or false"
LIST = "a list"
MAPPING = "a mapping"
_KINDS_WITHOUT_QUOTES: Final = frozenset({WHOLE_NUMBER, NUMBER, TRUE_OR_FALSE, LIST, MAPPING})

_EXPECTED: Final = {
    "string_type": TEXT,
    "int_type": WHOLE_NUMBER,
    "int_from_float": WHOLE_NUMBER,
    "int_parsing": WHOLE_NUMBER,
    "int_parsing_size": WHOLE_NUMBER,
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": NUMBER,
    "decimal_type": NUMBER,
    "decimal_parsing": NUMBER,
    "bool_type": TRUE_OR_FALSE,
    "bool_parsing": TRUE_OR_FALSE,
    "tuple_type": LIST,
    "model_type": MAPPING,
    "model_attributes_type": MAPPING,
}
"""What was wanted, by the error type that pydantic reports."""

_BOUNDS: Final = {
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
}
"""Key of the limit in the error's context, and its words."""

_UNITS: Final = (
    ("TokensPerS", "tokens/s"),
    ("UsdPerMonth", "USD"),
    ("usdPerMonth", "USD"),
    ("usdPerDay", "USD"),
    ("usdPerMillionInput", "USD"),
    ("usdPerMillionOutput", "USD"),
    ("BytesPerToken", "bytes"),
    ("HoursPerMonth", "h"),
    ("perTurn", "calls"),
    ("TokensPerTurn", "tokens"),
    ("Tokens", "tokens"),
    ("Gib", "GiB"),
    ("Ms", "ms"),
    ("seconds", "s"),
    ("days", "days"),
    ("S", "s"),
)
"""Unit of a number by the end of its key; the first that fits counts."""

_DNS = "a Kubernetes name: lower-case letters, digits, hyphens and dots, 63 at most"
_CRON = "five cron fields with one space between them, such as 0 8 * * 1-5"
_CLOCK = 'a time of day in quotes, such as "22:00"; "24:00" is the end of the day'
_DAY = "a day such as 2026-11-27"
_RANGE = "an address range such as 203.0.113.0/24"

PATTERN_WORDS: Final = {
    "awsRegion": "an AWS region such as eu-central-1",
    "source": "a Hugging Face id such as publisher/adapter",
    "modelRevision": "a commit or tag: 1 to 64 letters, digits, dots, underscores and hyphens",
    "engineVersion": "a version such as 0.11.2: two or three numbers with dots between them",
    "engineImage": "an image with its digest: name@sha256: and 64 hexadecimal digits in lower case",
    "prometheusImage": "an image with its digest: name@sha256: and 64 hexadecimal digits in lower case",
    "dcgmExporterImage": "an image with its digest: name@sha256: and 64 hexadecimal digits in lower case",
    "routerExporterImage": "an image with its digest: name@sha256: and 64 hexadecimal digits in lower case",
    "proxyImage": "an image with its digest: name@sha256: and 64 hexadecimal digits in lower case",
    "ollamaImage": "an image with its digest: name@sha256: and 64 hexadecimal digits in lower case",
    "grafanaImage": "an image with its digest: name@sha256: and 64 hexadecimal digits in lower case",
    "routerImage": "an image with its digest: name@sha256: and 64 hexadecimal digits in lower case",
    "image": "an image such as registry.example.com/scaler:1.0, or one with its digest: name@sha256: and 64 hexadecimal digits",
    "pulumiStack": "a Pulumi stack such as burst or organization/project/burst",
    "model": "a Hugging Face id such as publisher/model",
    "apiModel": "the model as LiteLLM names it, the seller first, such as openai/gpt-5-mini",
    "toolCallParser": "a parser's name: 63 letters, digits, dots, underscores and hyphens at most",
    "reasoningParser": "a parser's name: 63 letters, digits, dots, underscores and hyphens at most",
    "bucket": "a bucket, with a prefix if you like, such as s3://acme-models/agents",
    "sessionHeader": "a header's name in lower case, such as x-session-id",
    "namespace": _DNS,
    "monitoringNamespace": _DNS,
    "callers": _DNS,
    "callerRanges": _RANGE,
    "adminRanges": _RANGE,
    "store": _DNS,
    "hostname": "a host name such as agents.example.com",
    "code": "a code such as L-417A185B, as vcpuQuotas in the plan has it",
    "start": _CRON,
    "end": _CRON,
    "opens": _CLOCK,
    "closes": _CLOCK,
    "by": _CLOCK,
    "days": "weekdays such as mon-fri or sat,sun",
    "starts": "a day in quotes, such as '2027-01-04'",
    "ends": "a day in quotes, such as '2027-01-18'",
    "timezone": "an IANA time zone such as Europe/Berlin",
    "baseUrl": "an address that starts with http:// or https://",
    "prometheusUrl": "an address that starts with http:// or https://",
    "runbookBaseUrl": "an address that starts with http:// or https://",
    "cluster": "a name: letters, digits, dots, underscores and hyphens, 63 at most",
    "labels": "a label: letters, digits, dots, underscores and hyphens, 63 at most",
    "pathPrefix": "letters, digits, slashes, dots, underscores and hyphens",
    "repository": "an address that starts with https://, ssh:// or git@, and holds no password or token",
    "path": "a folder of the repository such as deploy/customer-service",
    "revision": "a branch or tag",
    "date": _DAY,
    "standardSupportEnds": _DAY,
    "read": _DAY,
    "version": "a version such as 1.35",
    "computeCapability": "a compute capability such as 9.0",
    "amiAlias": "an Amazon Linux 2023 release such as al2023@v20261105",
}
"""What a text must look like, by key. Names have words of their own."""

NAME_KEYS: Final = frozenset(
    {"name", "fallback", "tokenSecret", "apiKeySecret", "keySecret", "redisSecret", "agent", "agents", "secret"}
)
"""Keys that hold a Kubernetes name."""

LONGEST_GUESSED_KEY = 64
"""Longer keys are no slip of the keyboard; nobody looks for a near word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """What is wrong, and what to do about it."""

    message: str
    hint: str = ""


def worded(error: ErrorDetails, node: Node, root: type[Document] = AgentStack) -> Wording:
    """Put one of pydantic's errors into words. ``node`` stands where the error is, or above a missing key.

    ``root`` is the document that was read.
    """
    kind = error["type"]
    steps: Steps = error["loc"]
    context: Mapping[str, object] = error.get("ctx", {})
    if kind == "missing":
        return _missing(steps, root)
    if kind == "extra_forbidden":
        return _unknown_key(steps, root)
    if kind == "literal_error":
        return _wrong_word(steps, node, root)
    if kind in _EXPECTED:
        return wrong_kind(_EXPECTED[kind], node, steps, root)
    if kind in _BOUNDS:
        return _out_of_bounds(kind, context, steps, node)
    return _wrong_length_or_form(kind, context, steps, node)


def wrong_kind(expected: str, node: Node, steps: Steps = (), root: type[Document] = AgentStack) -> Wording:
    """A value of another kind than the one expected there. ``steps``: where that is, as far as it is known."""
    match node:
        case ListNode():
            return Wording(message=f"expected {expected}, not a list")
        case MapNode():
            return Wording(
                message=f"expected {expected}, not a mapping",
                hint="start each item with '- '" if expected == LIST else "",
            )
        case ScalarNode(value=None, spelling=""):
            return Wording(
                message=f"expected {expected}, but there is no value", hint="write one, or leave the key out"
            )
        case ScalarNode():
            hint = _remedy(expected, node) or _meant(expected, node, steps, root)
            return Wording(message=f"expected {expected}, {_reading(expected, node)}", hint=hint)


def _meant(expected: str, node: ScalarNode, steps: Steps, root: type[Document]) -> str:
    """What to write at this very place: the number in the field's own unit, or the keys of a mapping."""
    key = str(steps[-1]) if steps else ""
    if expected == MAPPING and (part := document_at(steps, root)):
        names = [*fields_of(part)]
        return f"its keys are {', '.join(names[:_SHOWN_KEYS])}{' and more' if names[_SHOWN_KEYS:] else ''}"
    if expected not in {WHOLE_NUMBER, NUMBER} or not isinstance(node.value, str):
        return ""
    number = _in_unit(node.value, _unit(key), is_ratio=key.endswith("Ratio"))
    if not number or (expected == WHOLE_NUMBER and "." in number):
        return ""
    unit = _unit(key)
    return f"write {number}: {key} is a number{f' of {unit}' if unit else ', without a unit'}"


_SHOWN_KEYS: Final = 6
_SCALES: Final[Mapping[str, Mapping[str, float]]] = {
    "ms": {"ms": 1, "msec": 1, "s": 1_000, "sec": 1_000},
    "s": {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3_600},
    "days": {"d": 1, "days": 1},
    "GiB": {"gib": 1, "gi": 1},
    "USD": dict.fromkeys(("usd", "dollars"), 1),
}
"""What people write behind a number, by the unit that the field has, and how many of those that is."""


def _in_unit(text: str, unit: str, *, is_ratio: bool) -> str:
    """A number that carries a unit or is in thousands (``200ms``, ``$2000``, ``5k``, ``20%``), in the unit of its field; empty:
    it is none, or of another unit.
    """
    found = re.fullmatch(
        r"(?:\$|usd)?\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([a-z%]*)", text.strip().casefold().replace(",", "")
    )
    if found is None:
        return ""
    behind = found[2]
    scale = _SCALES.get(unit, {}).get(behind) or {"": 1, "k": 1_000}.get(behind)
    if scale is None and behind == "%" and is_ratio:
        scale = 0.01
    return "" if scale is None else f"{round(float(found[1]) * scale, 6):.15g}"


def _reading(expected: str, node: ScalarNode) -> str:
    """What stands there instead; how YAML came to read it so, where that may surprise."""
    if isinstance(node.value, str):
        return f"not {meaning_of(node.value)}"
    spelt_plainly = node.spelling == str(node.value).lower()
    if spelt_plainly and expected in _KINDS_WITHOUT_QUOTES:
        return f"not {node.spelling}"
    return f"but YAML reads {node.spelling} as {meaning_of(node.value)}"


def _remedy(expected: str, node: ScalarNode) -> str:
    """How to write what was probably meant; empty where nobody can tell."""
    if expected == TEXT:
        return f"quote it: {node.spelling!r}"
    if expected in {WHOLE_NUMBER, NUMBER}:
        number = _number_in(node)
        return f"write {number}, not {shown(node.spelling)}" if number else ""
    if expected == TRUE_OR_FALSE and node.spelling.casefold() in {"true", "false"}:
        return f"write {node.spelling.casefold()}, not {shown(node.spelling)}"
    if expected == LIST and len(node.spelling) <= LONGEST_GUESSED_KEY:
        return f"write [{node.spelling}]"
    return ""


def _number_in(node: ScalarNode) -> str:
    """The number that a text or a decimal was meant to be, as YAML wants it; empty if it is none."""
    if isinstance(node.value, float):
        return str(int(node.value)) if node.value.is_integer() and abs(node.value) < 2**53 else ""
    plain = node.spelling.strip().replace(",", "").replace("_", "")
    if not re.fullmatch(r"[-+]?[0-9]{1,18}(\.[0-9]{1,18})?", plain):
        return ""
    return str(int(plain)) if "." not in plain else str(float(plain))


def _missing(steps: Steps, root: type[Document]) -> Wording:
    words = words_at(steps, root)
    hint = f"write {steps[-1]}: {words[0]}" if len(words) == 1 else ""
    return Wording(message=f"the key {str(steps[-1])!r} is missing", hint=hint)


def _unknown_key(steps: Steps, root: type[Document]) -> Wording:
    key = str(steps[-1])
    document = document_at(steps[:-1], root)
    hint = _key_hint(document, key) if document and len(key) <= LONGEST_GUESSED_KEY else ""
    return Wording(message=f"unknown key {shown(key)}", hint=hint)


_SHORTEST_BEGINNING: Final = 4
"""Letters of a key of which a longer one is thought, such as ``budget`` of ``budgetUsdPerMonth``."""


@lru_cache(maxsize=4096)
def _key_hint(document: type[Document], key: str) -> str:
    """The key in its right spelling; or the part of the document that it belongs in; or where a spec says what another tool's
    key says; or the nearest key; or all the keys there are.
    """
    folded = key.replace("_", "").replace("-", "").casefold()
    for own in fields_of(document):
        if own.casefold() == folded:
            return f"did you mean {own!r}?"
    for name, part in parts_of(document).items():
        for inner in fields_of(part):
            if inner.casefold() == folded:
                return f"{inner!r} belongs under {name!r}"
    if document in (StackSpec, Agent) and (meant := meant_by(folded)):
        return meant
    longer = [
        (inner, name)
        for name, part in parts_of(document).items()
        for inner in fields_of(part)
        if len(folded) >= _SHORTEST_BEGINNING and re.match(rf"{re.escape(folded)}[A-Z]", inner)
    ]
    near = did_you_mean(key, fields_of(document))
    if not near and len(longer) == 1:
        return f"did you mean {longer[0][0]!r} under {longer[0][1]!r}?"
    return near or f"known keys: {', '.join(sorted(fields_of(document)))}"


def _wrong_word(steps: Steps, node: Node, root: type[Document]) -> Wording:
    words = words_at(steps, root)
    listed = ", ".join(repr(word) for word in words)
    wanted = listed if len(words) == 1 else f"one of {listed}"
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        return wrong_kind(wanted, node) if not isinstance(node, ScalarNode) else _word_misread(wanted, words, node)
    near = did_you_mean(node.value, words) if len(words) > 1 and len(node.value) <= LONGEST_GUESSED_KEY else ""
    if not near and words == tuple(TARGET_MEANINGS):
        near = "; ".join(f"{word} is {meaning}" for word, meaning in TARGET_MEANINGS.items())
    return Wording(
        message=f"must be {wanted}, not {shown(node.value)}", hint=near or _ELSEWHERE.get(str(steps[-1]), "")
    )


_ELSEWHERE: Final = {
    "latencyClass": "voice is a TTFT of 200 ms, chat of 500, background none; a budget of your own is ttftMs beside it",
    "precision": "a format of a checkpoint (AWQ, GPTQ, ...) comes with its model: name that one, and leave precision out",
}
"""Where a spec says what people look for at a field of words."""


def _word_misread(wanted: str, words: tuple[str, ...], node: ScalarNode) -> Wording:
    """A word that YAML took for something else, such as a version for a number."""
    wrong = wrong_kind(wanted, node)
    return Wording(message=wrong.message, hint=f"quote it: {node.spelling!r}" if node.spelling in words else wrong.hint)


def _out_of_bounds(kind: str, context: Mapping[str, object], steps: Steps, node: Node) -> Wording:
    name, words = _BOUNDS[kind]
    limit = f"{_number(context.get(name))} {_unit(str(steps[-1]))}".rstrip()
    found = node.spelling if isinstance(node, ScalarNode) else ""
    hint = _LEAST_OF.get(str(steps[-1]), "") if kind.startswith("greater") else ""
    return Wording(message=f"must be {words} {limit}, not {found}", hint=hint)


_LEAST_OF: Final = {"concurrent": "1 is an agent that hardly anybody asks; what a burst brings stands in sessions.peak"}
"""What to write in place of less than the least."""


def _number(value: object) -> str:
    match value:
        case float() if value.is_integer():
            return f"{int(value):,}"
        case int() | float():
            return f"{value:,}"
        case _:
            return str(value)


def _unit(key: str) -> str:
    return next((unit for ending, unit in _UNITS if key.endswith(ending)), "")


def _wrong_length_or_form(kind: str, context: Mapping[str, object], steps: Steps, node: Node) -> Wording:
    text = node.spelling if isinstance(node, ScalarNode) else ""
    length = len(node.items) if isinstance(node, ListNode) else len(text)
    match kind:
        case "string_too_short":
            return Wording(message="must not be empty")
        case "string_too_long":
            return Wording(message=f"is {counted(length, 'character')} long; at most {context.get('max_length')} fit")
        case "too_short":
            return Wording(message="the list must not be empty")
        case "too_long":
            keys = len(node.entries) if isinstance(node, MapNode) else None
            what = f"the list has {counted(length, 'item')}" if keys is None else f"has {counted(keys, 'key')}"
            return Wording(message=f"{what}; at most {_number(context.get('max_length'))} fit", hint=_smaller(steps))
        case "string_pattern_mismatch":
            return _wrong_form(next(str(step) for step in reversed(steps) if isinstance(step, str)), text)
        case _:
            return Wording(message="this value does not fit here")


def _smaller(steps: Steps) -> str:
    """What to do about a list that is too long."""
    whole = steps[-1:] == ("agents",) and len(steps) == 2  # spec.agents; teams name agents, too
    return "split the stack: agents of other models lose nothing by standing in another" if whole else ""


def _wrong_form(key: str, text: str) -> Wording:
    if key in NAME_KEYS:
        return _no_name(text)
    wanted = PATTERN_WORDS.get(key, "of another form; see the schema")
    return Wording(message=f"must be {wanted}; not {shown(text)}")


def _no_name(text: str) -> Wording:
    """Why a text is no name, and the nearest name if there is an obvious one."""
    strangers = re.findall(r"[^-a-z0-9]", text)
    strange = min(strangers, key=str.isascii, default="")  # look-alikes of other alphabets first: nobody sees them
    if not strange:
        why = "ends with a hyphen" if text[:1].isalpha() else f"starts with {text[:1]!r}"
    elif strange.isascii() and strange.isupper():
        why = f"holds the capital {strange!r}"
    elif strange == " ":
        why = "holds a space"
    else:
        why = f"holds {strange!r}" if strange.isascii() else f"holds {character_name(strange)}"
    name = re.sub(r"[\s_.]+", "-", text.lower()).strip("-")
    hint = f"write {name!r}" if re.fullmatch(r"[a-z][-a-z0-9]*", name) else ""
    return Wording(
        message=f"{text!a} {why}; a name is made of a-z, 0-9 and hyphens, "
        "and starts with a letter and ends with a letter or digit",
        hint=hint,
    )
