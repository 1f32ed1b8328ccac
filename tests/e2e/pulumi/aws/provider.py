"""``pulumi-resource-aws`` as a test double, for kills in the middle of a create: the real plugin protocol before moto.

What is real here: the CLI, the engine and its state, the language host, the SDK's serialisation, the order of creation
and deletion, secrets, and the plugin protocol. botocore checks every parameter of every call against AWS's models, and
moto keeps what was made.

What it does NOT check, since it is not the real AWS provider:

- The provider's schema: types, required inputs, conflicts between inputs, validation and normalisation.
- The provider's plan. ``diff`` here compares inputs with what was found last, and replaces for the inputs that
  ``kinds.py`` names after the provider's documentation; the real provider knows more of them, and more defaults.
- Time. Everything is ready at once; the real provider waits for clusters, node groups and gateways, and its waits fail.
- Permissions, quotas, capacity, prices, and every rule of AWS that moto does not know. A few that matter for the order
  of things are written into ``kinds.py`` (``Refused``).
- What moto lacks lives in a journal file (add-ons, access entries, pod identities, reservations, placement groups, and
  the versions that node groups roll to): shapes are checked, nothing else.
- AMI releases: the public parameters of AWS are made up, as moto has none of them and takes none.
- No machine starts and no kubelet joins.

It de-duplicates nothing: a create that comes twice makes two things, unless AWS itself refuses a second of that name.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import ClientError
from pulumi.provider.experimental import provider as protocol
from pulumi.provider.experimental.server import main as serve

from tests.e2e.pulumi.aws.cloud import ACCOUNT, REGION, Cloud
from tests.e2e.pulumi.aws.faults import Faults
from tests.e2e.pulumi.aws.kinds import Inputs, Kind, Properties, absent
from tests.e2e.pulumi.aws.kinds_beside import KINDS
from tests.e2e.pulumi.aws.lifeline import leave_with_the_engine
from tests.e2e.pulumi.aws.values import marked_map, plain_map

ENDPOINT_VARIABLE = "AWS_DOUBLE_ENDPOINT"
FOLDER_VARIABLE = "AWS_DOUBLE_FOLDER"

Result = TypeVar("Result")

_THREADS = 64
_SUFFIX_BYTES = 4
_RELEASE = re.compile(r"/(?P<kubernetes>\d+\.\d+)/.*-v(?P<release>\d{8})/release_version$")


class AwsDouble(protocol.Provider):
    """Carries out what the engine asks for, through the table of kinds."""

    def __init__(self, aws: Cloud, faults: Faults) -> None:
        self._aws = aws
        self._faults = faults
        self._threads = ThreadPoolExecutor(max_workers=_THREADS)

    async def _apart(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Run what waits in a thread; there are more of these than the engine has operations in flight."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def configure(self, request: protocol.ConfigureRequest) -> protocol.ConfigureResponse:
        return protocol.ConfigureResponse(accept_secrets=True, supports_preview=False)

    async def check(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        kind = KINDS[_token(request)]
        await self._apart(self._faults.pass_by, "check", _token(request), request.urn)
        inputs = dict(request.new_inputs)
        if kind.autonamed and kind.autonamed not in inputs:
            given = f"{request.name}-{request.random_seed[:_SUFFIX_BYTES].hex()[:7]}"
            kept = request.old_inputs.get(kind.autonamed)
            inputs |= {kind.autonamed: kept} if kept else marked_map({kind.autonamed: given}, like={})
        return protocol.CheckResponse(inputs=inputs)

    async def diff(self, request: protocol.DiffRequest) -> protocol.DiffResponse:
        kind = KINDS[_token(request)]
        old, new = plain_map(request.old_state), plain_map(request.new_inputs)
        differing = sorted(_differing(kind, old, new))
        replacing = [key for key in differing if _forces_new(kind, key, old, new)]
        return protocol.DiffResponse(changes=bool(differing), diffs=differing, replaces=replacing)

    async def create(self, request: protocol.CreateRequest) -> protocol.CreateResponse:
        return await self._apart(self._create, request)

    def _create(self, request: protocol.CreateRequest) -> protocol.CreateResponse:
        kind, inputs = KINDS[_token(request)], plain_map(request.properties)
        self._faults.count_create()
        self._faults.pass_by("before", _token(request), request.urn)
        ident = kind.create(self._aws, request.name, inputs)
        self._faults.pass_by("after", _token(request), request.urn)
        found = self._found(kind, ident)
        assert found is not None
        return protocol.CreateResponse(
            resource_id=ident, properties=marked_map(_state(kind, inputs, found), like=request.properties)
        )

    async def read(self, request: protocol.ReadRequest) -> protocol.ReadResponse:
        return await self._apart(self._read, request)

    def _read(self, request: protocol.ReadRequest) -> protocol.ReadResponse:
        kind = KINDS[_token(request)]
        ident = kind.imported(self._aws, request.resource_id)
        found = self._found(kind, ident)
        if found is None:
            return protocol.ReadResponse(resource_id="")
        known = plain_map(request.inputs)
        seen = {key: _merged(known.get(key), value) for key, value in found.items() if key not in kind.computed}
        inputs = {**known, **{key: value for key, value in seen.items() if key in known or not known}}
        return protocol.ReadResponse(
            resource_id=ident,
            properties=marked_map(_state(kind, inputs, found), like=request.properties),
            inputs=marked_map(inputs, like=request.inputs),
        )

    async def update(self, request: protocol.UpdateRequest) -> protocol.UpdateResponse:
        return await self._apart(self._update, request)

    def _update(self, request: protocol.UpdateRequest) -> protocol.UpdateResponse:
        kind, new = KINDS[_token(request)], plain_map(request.news)
        old = {key: value for key, value in plain_map(request.olds).items() if key in new or key not in kind.computed}
        kind.update(self._aws, request.resource_id, old, new)
        found = self._found(kind, request.resource_id)
        assert found is not None
        return protocol.UpdateResponse(properties=marked_map(_state(kind, new, found), like=request.news))

    async def delete(self, request: protocol.DeleteRequest) -> None:
        await self._apart(self._delete, request)

    def _delete(self, request: protocol.DeleteRequest) -> None:
        try:
            KINDS[_token(request)].delete(self._aws, request.resource_id)
        except ClientError as error:
            if not absent(error):
                raise

    def _found(self, kind: Kind, ident: str) -> Properties | None:
        try:
            return kind.find(self._aws, ident)
        except ClientError as error:
            if not absent(error):
                raise
            return None

    async def invoke(self, request: protocol.InvokeRequest) -> protocol.InvokeResponse:
        answer = await self._apart(self._answer, request.tok, plain_map(request.args))
        return protocol.InvokeResponse(return_value=marked_map(answer, like={}))

    def _answer(self, token: str, args: Inputs) -> Properties:
        ec2 = self._aws("ec2")
        match token:
            case "aws:index/getAvailabilityZones:getAvailabilityZones":
                zones = ec2.describe_availability_zones(Filters=_filters(args))["AvailabilityZones"]
                kept = [zone for zone in zones if zone["ZoneId"] not in args.get("excludeZoneIds", ())]
                return {
                    "id": REGION,
                    "names": sorted(zone["ZoneName"] for zone in kept),
                    "zoneIds": [zone["ZoneId"] for zone in kept],
                    "groupNames": [REGION],
                }
            case "aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings":
                offered = ec2.describe_instance_type_offerings(
                    LocationType=args["locationType"], Filters=_filters(args)
                )["InstanceTypeOfferings"]
                return {
                    "id": REGION,
                    "instanceTypes": [one["InstanceType"] for one in offered],
                    "locations": [one["Location"] for one in offered],
                    "locationTypes": [one["LocationType"] for one in offered],
                }
            case "aws:ssm/getParameter:getParameter":
                found = _RELEASE.search(args["name"])
                if found is None:
                    raise LookupError(f"ParameterNotFound: {args['name']}")
                value = f"{found['kubernetes']}.2-{found['release']}"
                return {"id": args["name"], "name": args["name"], "value": value, "insecureValue": value, "version": 1}
            case "aws:ec2/getSubnet:getSubnet":
                (subnet,) = ec2.describe_subnets(SubnetIds=[args["id"]])["Subnets"]
                shown = ("availabilityZone", "availabilityZoneId", "cidrBlock", "vpcId")
                return {"id": args["id"], **{key: subnet[key[0].upper() + key[1:]] for key in shown}}
            case "aws:index/getCallerIdentity:getCallerIdentity":
                identity = self._aws("sts").get_caller_identity()
                return {"id": ACCOUNT, "accountId": ACCOUNT, "arn": identity["Arn"], "userId": identity["UserId"]}
            case "aws:index/getRegion:getRegion":
                return {"id": REGION, "name": REGION, "region": REGION, "description": "", "endpoint": ""}
            case "aws:index/getPartition:getPartition":
                return {
                    "id": "aws",
                    "partition": "aws",
                    "dnsSuffix": "amazonaws.com",
                    "reverseDnsPrefix": "com.amazonaws",
                }
            case _:
                raise LookupError(f"the double knows no {token}")


def _token(request: Any) -> str:
    """The resource's own type: a URN's type begins with those of its parents."""
    return str(request.type).rpartition("$")[2]


def _filters(args: Inputs) -> list[dict[str, Any]]:
    return [{"Name": one["name"], "Values": one["values"]} for one in args.get("filters", ())]


def _state(kind: Kind, inputs: Inputs, found: Inputs) -> Properties:
    """Inputs, corrected by what was found, and what AWS added."""
    corrected = {key: _merged(value, found[key]) if key in found else value for key, value in inputs.items()}
    added = {key: value for key, value in found.items() if key in kind.computed and key not in corrected}
    return {**corrected, **added}


def _merged(known: Any, found: Any) -> Any:
    """What was found, in the form of what is known: members that AWS adds come in too, those that it hides stay."""
    if isinstance(known, dict) and isinstance(found, dict):
        return {**known, **{key: _merged(known.get(key), value) for key, value in found.items()}}
    if isinstance(known, list) and isinstance(found, list):
        if all(isinstance(one, str) for one in (*known, *found)):
            return known if sorted(known) == sorted(found) else found
        if len(known) == len(found):
            return [_merged(*pair) for pair in zip(known, found, strict=True)]
    if isinstance(known, str) and isinstance(found, str) and _same_json(known, found):
        return known
    return found


def _same_json(one: str, other: str) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def _differing(kind: Kind, old: Inputs, new: Inputs) -> set[str]:
    present = {key for key, value in new.items() if not _covers(old.get(key), value)}
    gone = {key for key in old if key not in new and key not in kind.computed and old[key] not in ({}, [], "", False)}
    return present | gone


def _covers(old: Any, new: Any) -> bool:
    """Whether what is there is what is wanted. Members of an object that the program does not set are AWS's own.

    A map of tags or labels has no such members, but the double cannot tell a map from an object; both are equal then
    only if nothing is missing, and a tag too many goes unseen here as long as nothing else changes.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        return all(_covers(old.get(key), value) for key, value in new.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_covers(*pair) for pair in zip(old, new, strict=True))
    return bool(old == new)


def _forces_new(kind: Kind, key: str, old: Inputs, new: Inputs) -> bool:
    if key in kind.forces_new:
        return True
    members = [path.split(".")[1] for path in kind.forces_new if path.startswith(f"{key}.")]
    before, after = old.get(key) or {}, new.get(key) or {}
    return any(before.get(member) != after[member] for member in members if member in after)


def main() -> None:
    """Serve the protocol on a loopback port, as a plugin does."""
    leave_with_the_engine()
    folder = Path(os.environ[FOLDER_VARIABLE])
    double = AwsDouble(Cloud(os.environ[ENDPOINT_VARIABLE], folder), Faults(folder))
    serve(sys.argv[1:], version("pulumi-aws"), double)
