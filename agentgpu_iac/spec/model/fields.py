"""Kinds of field that several parts of a stack have: names, counts, shares, addresses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

from agentgpu_iac.spec.repository import repository_id

MAX_COUNT = 10**9
"""Counts above this are a slip of the keyboard, not a plan."""

MOST_AGENTS = 1_000
"""Agents of one stack. 1,000 of four models are planned in 26 s on one core with 310 MiB; before, 300 with replicas of their
own took 37 s and 501 MiB. Somebody waits for that, and every machine has it; of ten times as many nothing was tried."""
MOST_LISTED = 1_000
"""Items of any list but that of the agents, which has a limit of its own: more than anybody writes, and what is still planned and
rendered in bounded time. A list without a limit is one whose reading, planning and rendering nobody has tried."""
LISTED = Field(max_length=MOST_LISTED)

Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40)]
"""A DNS label that Services take too (RFC 1035): lower-case letters, digits and hyphens, a letter first; 40 at most,
so that suffixes fit into 63."""

Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
PositiveCount = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=MAX_COUNT)]
NonNegative = Annotated[float, Field(ge=0, le=MAX_COUNT)]
ParserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=63)]
HOST = r"([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
"""The host of an address. It begins with no hyphen, which a program would take for an option, and nobody signs in before it."""
Url = Annotated[
    str, StringConstraints(pattern=rf"^https?://{HOST}(:[0-9]{{1,5}})?([/?#][^\s\"'{{}}<>\\\\]*)?$", max_length=500)
]
CronSpec = Annotated[str, StringConstraints(pattern=r"^\S+ \S+ \S+ \S+ \S+$", max_length=100)]
TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]+(/[A-Za-z0-9_+-]+)*$", max_length=64)]
Labels = Annotated[
    dict[
        Annotated[
            str,
            StringConstraints(
                pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
            ),
        ],
        Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")],
    ],
    LISTED,
]
Text = Annotated[str, StringConstraints(min_length=1, max_length=253)]
RepositoryId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$", max_length=200),
    BeforeValidator(repository_id),
]
"""A Hugging Face id; the address of the repository's page is read as the id on it."""
ModelName = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*$", max_length=200),
    BeforeValidator(repository_id),
]
"""The same, or the id of a model of the catalog without its publisher."""
Revision = Annotated[str, StringConstraints(pattern=r"^[0-9a-zA-Z._-]{1,64}$")]
"""Commit, tag or branch of a repository."""
ADDRESS_RANGE = r"^[0-9a-fA-F.:]{2,39}/[0-9]{1,3}$"
AddressRange = Annotated[str, StringConstraints(pattern=ADDRESS_RANGE)]
"""An IP network such as 203.0.113.0/24."""


def switch_word(value: object) -> object:
    """The words on and off, which YAML reads as true and false where they stand without quotes."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return value


Switch = Annotated[
    Literal["on", "off", "auto"],
    BeforeValidator(switch_word),
    WithJsonSchema({"enum": ["on", "off", "auto", True, False]}),
]
"""on, off or auto, with or without quotes."""
