"""What moto lacks of EC2: placement groups, capacity reservations, and the security groups of clusters."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from tests.e2e.pulumi.aws.front.answers import Answer, AwsError, as_ec2

Form = Mapping[str, str]

_TAG = re.compile(r"TagSpecification\.(\d+)\.Tag\.(\d+)\.Key")


@dataclass(slots=True)
class Ec2:
    """What the front keeps of EC2. ``answer`` is None where moto answers."""

    account: str
    region: str
    placement_groups: dict[str, dict[str, str]] = field(default_factory=dict)
    reservations: dict[str, dict[str, str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, form: Form) -> Answer | None:
        """Carry an action out."""
        action = form.get("Action", "")
        with self._lock:
            match action:
                case "CreatePlacementGroup":
                    inner = _xml("placementGroup", self._create_placement_group(form))
                case "DescribePlacementGroups":
                    inner = _set("placementGroupSet", self._named_placement_groups(form))
                case "DeletePlacementGroup":
                    self._named_placement_groups({"GroupName.1": form["GroupName"]})
                    inner = _xml("return", "true" if self.placement_groups.pop(form["GroupName"]) else "")
                case "CreateCapacityReservation":
                    inner = _xml("capacityReservation", self._create_reservation(form))
                case "DescribeCapacityReservations":
                    inner = _set("capacityReservationSet", self._found_reservations(form))
                case "ModifyCapacityReservation":
                    self.reservations[form["CapacityReservationId"]]["totalInstanceCount"] = form["InstanceCount"]
                    inner = _xml("return", "true")
                case "CancelCapacityReservation":
                    self.reservations[form["CapacityReservationId"]]["state"] = "cancelled"
                    inner = _xml("return", "true")
                case _:
                    return None
        return as_ec2(action, inner)

    def _create_placement_group(self, form: Form) -> dict[str, str]:
        name = form["GroupName"]
        if name in self.placement_groups:
            raise AwsError(400, "InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists.")
        self.placement_groups[name] = {
            "groupName": name,
            "groupId": f"pg-{uuid.uuid4().hex[:17]}",
            "groupArn": f"arn:aws:ec2:{self.region}:{self.account}:placement-group/{name}",
            "strategy": form["Strategy"],
            "state": "available",
            "tagSet": _tags(form),
        }
        return self.placement_groups[name]

    def _named_placement_groups(self, form: Form) -> list[dict[str, str]]:
        names = _listed(form, "GroupName")
        if missing := [name for name in names if name not in self.placement_groups]:
            raise AwsError(400, "InvalidPlacementGroup.Unknown", f"The Placement Group '{missing[0]}' is unknown.")
        return [group for name, group in self.placement_groups.items() if not names or name in names]

    def _create_reservation(self, form: Form) -> dict[str, str]:
        ident = f"cr-{uuid.uuid4().hex[:17]}"
        self.reservations[ident] = {
            "capacityReservationId": ident,
            "ownerId": self.account,
            "capacityReservationArn": f"arn:aws:ec2:{self.region}:{self.account}:capacity-reservation/{ident}",
            "instanceType": form["InstanceType"],
            "instancePlatform": form["InstancePlatform"],
            "availabilityZone": form["AvailabilityZone"],
            "tenancy": form.get("Tenancy", "default"),
            "totalInstanceCount": form["InstanceCount"],
            "availableInstanceCount": form["InstanceCount"],
            "ebsOptimized": form.get("EbsOptimized", "false"),
            "ephemeralStorage": form.get("EphemeralStorage", "false"),
            "endDateType": form.get("EndDateType", "unlimited"),
            "instanceMatchCriteria": form.get("InstanceMatchCriteria", "open"),
            "placementGroupArn": form.get("PlacementGroupArn", ""),
            "state": "active",
            "tagSet": _tags(form),
        }
        return self.reservations[ident]

    def _found_reservations(self, form: Form) -> list[dict[str, str]]:
        idents = _listed(form, "CapacityReservationId")
        if missing := [ident for ident in idents if ident not in self.reservations]:
            raise AwsError(400, "InvalidCapacityReservationId.NotFound", f"{missing[0]} does not exist")
        return [one for ident, one in self.reservations.items() if not idents or ident in idents]


class ClusterGroups:
    """The security groups that EKS makes for clusters, through a client of EC2."""

    def __init__(self, ec2: Any) -> None:
        self._ec2 = ec2

    def open(self, cluster: str, subnet: str) -> tuple[str, str]:
        """Make the group in the VPC of a subnet."""
        (found,) = self._ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
        made = self._ec2.create_security_group(
            GroupName=f"eks-cluster-sg-{cluster}", Description="EKS created security group", VpcId=found["VpcId"]
        )
        return str(made["GroupId"]), str(found["VpcId"])

    def close(self, group: str) -> None:
        """Remove the group."""
        self._ec2.delete_security_group(GroupId=group)


def _listed(form: Form, name: str) -> list[str]:
    return [value for key, value in form.items() if key.startswith(f"{name}.")]


def _tags(form: Form) -> str:
    pairs = (
        (value, form.get(f"TagSpecification.{match[1]}.Tag.{match[2]}.Value", ""))
        for key, value in form.items()
        if (match := _TAG.fullmatch(key))
    )
    return "".join(f"<item><key>{escape(key)}</key><value>{escape(value)}</value></item>" for key, value in pairs)


def _set(name: str, things: Iterable[Mapping[str, str]]) -> str:
    return _xml(name, "".join(_xml("item", thing) for thing in things))


def _xml(name: str, content: Mapping[str, str] | str) -> str:
    return "".join(_parts(name, content))


def _parts(name: str, content: Mapping[str, str] | str) -> Iterator[str]:
    yield f"<{name}>"
    if isinstance(content, str):
        yield content
    else:
        for key, value in content.items():
            yield f"<{key}>{value if key == 'tagSet' else escape(value)}</{key}>"
    yield f"</{name}>"
