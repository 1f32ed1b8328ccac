"""The commands in a block, and what the command line says of one without running it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import typer

from agentgpu_iac.cli.main import app

_OPERATORS = frozenset("|&;()<>")
COMMAND = typer.main.get_command(app)

NEEDS = {
    "status": "a cluster",
    "pin": "registries and the model hub",
    "catalog update": "a provider's API",
    "check": "policies and plans of the reader's repository",
    "comment": "a host of pull requests",
    "publish": "the reader's repository and its host",
}
"""Commands of ours that ask somebody outside."""
ELSEWHERE = {
    "apt-get": "changes the machine",
    "aws": "an AWS account",
    "cd": "only leads to the next line",
    "curl": "an agent that answers",
    "docker": "Docker and a GPU",
    "export": "only sets a variable for the next line",
    "git": "the reader's repository",
    "helm": "a cluster",
    "journalctl": "a machine that runs the stack",
    "kubectl": "a cluster",
    "make": "the checkout: .ci/run calls these targets",
    "nft": "a machine that runs the stack",
    "pip": "tests/wheel installs the wheel itself",
    "pulumi": "a cloud account; tests/e2e/pulumi runs it beside doubles of the clouds",
    "python3": "a virtual environment; make demo makes one",
    "sha256sum": "dist/, which make wheel writes",
    "rm": "a machine that runs the stack",
    "rsync": "a machine that runs the stack",
    "sky": "cloud accounts",
    "ssh": "a machine that runs the stack",
    "systemctl": "a machine that runs the stack",
    "umount": "a machine that runs the stack",
}
"""Programs that are not ours, and what each would need here."""
PLACEHOLDER = re.compile(r"(?:^|[^A-Za-z$'\"{])(?:[A-Z]{3,}|DIR)(?:$|[^A-Za-z_])")
"""Words in capitals are the reader's to fill in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One program with its arguments."""

    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """What is started."""
        return self.words[0]

    @property
    def subcommand(self) -> str:
        """Of ``agentgpu``, the command with its group."""
        words = [word for word in self.words[1:] if not word.startswith("-")]
        return " ".join(words[:2] if words[:1] == ["catalog"] else words[:1])


def lines_of(text: str) -> tuple[str, ...]:
    """Lines of shell, those that end in a backslash or within a quotation joined with the next; no comments."""
    lines: list[str] = []
    open_line = ""
    for line in text.replace("\\\n", " ").splitlines():
        open_line = f"{open_line}\n{line}" if open_line else line
        if _is_whole(open_line):
            lines.append(open_line)
            open_line = ""
    return tuple(line for line in (*lines, open_line) if line.strip() and not line.lstrip().startswith("#"))


def _is_whole(line: str) -> bool:
    """Whether every quotation of it is closed."""
    try:
        shlex.split(line, comments=True)
    except ValueError:
        return False
    return True


def commands_of(line: str) -> Iterator[Command]:
    """The commands of a line: of a pipe, after ``&&``, and so on; what output is redirected to is left out."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    words: list[str] = []
    skip = False
    for word in reader:
        if skip:
            skip = False
        elif set(word) <= _OPERATORS:
            skip = ">" in word or "<" in word
            if not skip and words:
                yield _command(words)
                words = []
        else:
            words.append(word)
    if words:
        yield _command(words)


def _command(words: list[str]) -> Command:
    while len(words) > 1 and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    return Command(words=tuple(words))


def why_not_run(line: str) -> str:
    """Why no test can run this line as it stands; empty where one can. A program that nobody knows is a fault of the page."""
    if PLACEHOLDER.search(line):
        return "the reader fills in the words in capitals"
    for command in commands_of(line):
        if command.program == "agentgpu":
            if command.subcommand in NEEDS:
                return NEEDS[command.subcommand]
        elif command.program in ELSEWHERE:
            return ELSEWHERE[command.program]
        elif re.match(r"[A-Z_]+[0-9]*=", command.program):
            return "only sets a variable"
        elif command.program not in {"grep", "cat", "."}:
            raise AssertionError(f"{command.program!r} is no program that the pages use; tests/pages/commands.py")
    return ""


def refusal(command: Command, *, whole: bool = True) -> str:
    """What the command line holds against it: a command, option or word that is not there. Empty where it takes it.

    ``whole``: whether everything that is required must be there too; a command in a sentence may leave that out.
    """
    group, name, words = COMMAND, "agentgpu", list(command.words[1:])
    while words and words[0] in getattr(group, "commands", {}):
        name = words.pop(0)
        group = group.commands[name]  # type: ignore[attr-defined]
    if getattr(group, "commands", {}) and words and not words[0].startswith("-"):
        return f"there is no command {words[0]!r}"
    if whole:
        try:
            group.make_context(name, words, resilient_parsing=False)
        except typer.Exit:
            return ""
        except Exception as error:
            return f"{type(error).__name__}: {getattr(error, 'message', error)}"
        return ""
    known = {option for parameter in group.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"-h", "--help", "--install-completion", "--show-completion"}
    return ", ".join(
        word for word in words if word.startswith("-") and word != "-" and word.partition("=")[0] not in known
    )
