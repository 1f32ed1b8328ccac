"""Write the parts of a wheel (CycloneDX 1.6, JSON): what it needs to run at the versions and hashes of the lock.

Run by the interpreter of ``tools/audit``: ``parts.py WHEEL LOCK VERSION SECONDS`` prints them. The same arguments give the same
bytes: the time is that of the last change, and the number of the document is made from the wheel. The lock also holds what
builds; only what the project itself asks for to run, and what that needs in turn, is a part.
"""

from __future__ import annotations

import hashlib
import re
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ITSELF = "agentgpu-iac"
_ASKS = f"{ITSELF} (pyproject.toml)"
"""How the lock says that the project asks for a part, and not one of its groups or extras."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A part in one version; a part may have several, for several Pythons."""

    name: str
    version: str
    marker: str
    """For which Pythons and systems; empty for all."""
    hashes: tuple[str, ...]
    """SHA-256 of each of its files."""
    asked_by: tuple[str, ...]


def pins(lock: str) -> tuple[Pin, ...]:
    """What a lock holds."""
    found = []
    for block in re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]:
        head = re.match(r"([\w.-]+)==(\S+)(?: ; ([^\\\n]+?))? *\\?\n", block)
        if head is None:
            raise SystemExit(f"the lock has a line that is not understood: {block.splitlines()[0]}")
        said = re.search(r"# via((?:\n? *#? .+)+)", block)
        asked_by = re.findall(r"[\w.-]+(?: \([^)]*\))?", said[1].replace("#", " ")) if said else ()
        hashes = tuple(sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)))
        found.append(Pin(name=head[1], version=head[2], marker=head[3] or "", hashes=hashes, asked_by=tuple(asked_by)))
    return tuple(found)


def of_the_running(found: tuple[Pin, ...]) -> tuple[Pin, ...]:
    """Those that the project needs to run, directly or not."""
    wanted = {pin.name for pin in found if _ASKS in pin.asked_by}
    while more := {pin.name for pin in found if wanted & set(pin.asked_by)} - wanted:
        wanted |= more
    return tuple(pin for pin in found if pin.name in wanted)


def needs(found: tuple[Pin, ...]) -> Mapping[str, tuple[Pin, ...]]:
    """What each part, and the project, asks for."""
    names = {ITSELF: _ASKS, **{pin.name: pin.name for pin in found}}
    return {name: tuple(pin for pin in found if said in pin.asked_by) for name, said in names.items()}


def document(wheel: Path, lock: str, version: str, changed_s: int) -> str:
    """The document. The library is asked for here: tests of the rest do without it."""
    from cyclonedx.model import HashAlgorithm, HashType, Property  # noqa: PLC0415
    from cyclonedx.model.bom import Bom, BomMetaData  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from cyclonedx.output.json import JsonV1Dot6  # noqa: PLC0415
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415
    from packageurl import PackageURL  # noqa: PLC0415

    def component(name: str, version: str, marker: str, hashes: tuple[str, ...]) -> Component:
        address = PackageURL("pypi", name=name, version=version)
        properties = [Property(name="agentgpu:marker", value=marker)] if marker else []
        properties += [Property(name="agentgpu:sha256", value=each) for each in hashes]
        return Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            purl=address,
            bom_ref=str(address),
            properties=properties,
        )

    found = of_the_running(pins(lock))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    itself = component(ITSELF, version, "", ())
    itself.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=digest))
    parts = {pin: component(pin.name, pin.version, pin.marker, pin.hashes) for pin in found}
    made = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{digest}"),
        metadata=BomMetaData(component=itself, timestamp=datetime.fromtimestamp(changed_s, UTC)),
        components=parts.values(),
    )
    for name, asked in needs(found).items():
        for one_version in [itself] if name == ITSELF else [part for pin, part in parts.items() if pin.name == name]:
            made.register_dependency(one_version, [parts[pin] for pin in asked])
    text = JsonV1Dot6(made).output_as_string(indent=2) + "\n"
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"this is no CycloneDX 1.6: {fault}")
    return text


def main(arguments: list[str]) -> int:
    """Print the document."""
    wheel, lock, version, changed_s = arguments
    sys.stdout.write(document(Path(wheel), Path(lock).read_text(encoding="utf-8"), version, int(changed_s)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
