"""EKS, as far as a stack meets it: what moto has of it is thin, and has no add-ons, access entries or pod identities.

Things pass through the states of the real service, and end where a test's ``Fate`` says. What is refused here is what the
orders of creation, change and deletion depend on. Nothing runs: there is no control plane and no node.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, Protocol
from urllib.parse import unquote

import botocore.session
from botocore import xform_name

from tests.e2e.pulumi.aws.front.answers import AwsError
from tests.e2e.pulumi.aws.front.faults import Faults

Body = Mapping[str, Any]
Thing = dict[str, Any]

_VERSION: Final = "1.34"
_ADDON_VERSION: Final = "v1.0.0-eksbuild.1"
_CHANGEABLE: Final = frozenset({"ACTIVE", "DEGRADED"})


@cache
def _routes() -> tuple[tuple[str, re.Pattern[str], str], ...]:
    """Method, path and name of every operation, from the service's own model."""
    model = botocore.session.get_session().get_service_model("eks")
    found = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(http["requestUri"].partition("?")[0]))
        found.append((http["method"], re.compile(path), name))
    return tuple(found)


def operation(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """The operation that a request asks for, and what its path names. ARNs stay encoded on the wire."""
    for known, pattern, name in _routes():
        if known == method and (match := pattern.fullmatch(path)):
            return name, {key: unquote(value) for key, value in match.groupdict().items()}
    return None


class SecurityGroups(Protocol):
    """Where a cluster's own security group comes from."""

    def open(self, cluster: str, subnet: str) -> tuple[str, str]:
        """Make the group in the VPC of a subnet; answer its id and that of the VPC."""

    def close(self, group: str) -> None:
        """Remove the group."""


class Eks:
    """The clusters of one account in one region."""

    def __init__(self, account: str, region: str, faults: Faults, groups: SecurityGroups) -> None:
        self._account = account
        self._region = region
        self._faults = faults
        self._groups = groups
        self._lock = threading.RLock()
        self.clusters: dict[str, Thing] = {}
        self.node_groups: dict[tuple[str, str], Thing] = {}
        self.addons: dict[tuple[str, str], Thing] = {}
        self.entries: dict[tuple[str, str], Thing] = {}
        self.policies: dict[tuple[str, str, str], Thing] = {}
        self.associations: dict[tuple[str, str], Thing] = {}
        self.updates: dict[str, Thing] = {}
        self.asked: list[tuple[str, Body]] = []
        """Every change that was asked for, with what was sent."""
        self._looks: dict[str, int] = {}

    def answer(self, name: str, path: Mapping[str, str], body: Body) -> Thing:
        """Carry an operation out."""
        method = getattr(self, f"_{xform_name(name)}", None)
        if method is None:
            raise NotImplementedError(f"the front knows no {name} of EKS")
        with self._lock:
            if not name.startswith(("Describe", "List")):
                self.asked.append((name, {**path, **body}))
            found: Thing = method(path, body)
            return found

    # --- clusters

    def _create_cluster(self, _: Mapping[str, str], body: Body) -> Thing:
        name = body["name"]
        if name in self.clusters:
            raise _in_use(f"Cluster already exists with name: {name}")
        network = body["resourcesVpcConfig"]
        group, vpc = self._groups.open(name, network["subnetIds"][0])
        access = body.get("accessConfig") or {}
        cluster = {
            **_known(body, "name", "roleArn", "encryptionConfig", "tags", "logging", "deletionProtection"),
            "arn": self._arn(f"cluster/{name}"),
            "version": body.get("version") or _VERSION,
            "platformVersion": "eks.1",
            "endpoint": f"https://{uuid.uuid4().hex}.gr7.{self._region}.eks.amazonaws.com",
            "certificateAuthority": {"data": "Q0E="},
            "identity": {"oidc": {"issuer": f"https://oidc.eks.{self._region}.amazonaws.com/id/0123"}},
            "resourcesVpcConfig": {
                "endpointPublicAccess": True,
                "endpointPrivateAccess": False,
                "publicAccessCidrs": ["0.0.0.0/0"],
                "securityGroupIds": [],
                **network,
                "vpcId": vpc,
                "clusterSecurityGroupId": group,
            },
            "kubernetesNetworkConfig": {
                "serviceIpv4Cidr": "172.20.0.0/16",
                "ipFamily": "ipv4",
                "elasticLoadBalancing": {"enabled": False},
            },
            "accessConfig": {"authenticationMode": access.get("authenticationMode", "CONFIG_MAP")},
            "upgradePolicy": body.get("upgradePolicy") or {"supportType": "EXTENDED"},
            "health": {"issues": []},
            "createdAt": time.time(),
        }
        self.clusters[name] = self._begun(cluster, name, "FAILED")
        return {"cluster": self._shown(cluster)}

    def _describe_cluster(self, path: Mapping[str, str], _: Body) -> Thing:
        return {"cluster": self._looked_at(self._cluster(path["name"]))}

    def _list_clusters(self, _: Mapping[str, str], __: Body) -> Thing:
        return {"clusters": sorted(self.clusters)}

    def _update_cluster_config(self, path: Mapping[str, str], body: Body) -> Thing:
        cluster = self._changeable(self._cluster(path["name"]), path["name"])
        for key in ("accessConfig", "upgradePolicy", "resourcesVpcConfig", "logging"):
            if key in body:
                cluster[key] = {**cluster.get(key, {}), **body[key]}
        if "deletionProtection" in body:
            cluster["deletionProtection"] = body["deletionProtection"]
        return self._update("ConfigUpdate")

    def _update_cluster_version(self, path: Mapping[str, str], body: Body) -> Thing:
        cluster = self._changeable(self._cluster(path["name"]), path["name"])
        minor = [int(version.rpartition(".")[2]) for version in (cluster["version"], body["version"])]
        if minor[1] != minor[0] + 1:
            raise _refused(
                f"Unsupported Kubernetes minor version update from {cluster['version']} to {body['version']}"
            )
        cluster["version"] = body["version"]
        return self._update("VersionUpdate")

    def _delete_cluster(self, path: Mapping[str, str], _: Body) -> Thing:
        name = path["name"]
        cluster = self._cluster(name)
        if cluster.get("deletionProtection"):
            raise _refused("Cluster deletion protection is enabled")
        if any(owner == name for owner, _ in self.node_groups):
            raise _in_use("Cluster has nodegroups attached")
        del self.clusters[name]
        self._groups.close(cluster["resourcesVpcConfig"]["clusterSecurityGroupId"])
        for things in (self.addons, self.entries, self.associations):
            for key in [key for key in things if key[0] == name]:
                del things[key]
        return {"cluster": {**cluster, "status": "DELETING"}}

    def _cluster(self, name: str) -> Thing:
        if name not in self.clusters:
            raise _absent(f"No cluster found for name: {name}.")
        return self.clusters[name]

    def _in_cluster(self, name: str) -> None:
        """Refuse what wants a cluster that works."""
        if self._cluster(name)["status"] != "ACTIVE":
            raise _refused(f"Cluster '{name}' is not in ACTIVE status")

    # --- node groups

    def _create_nodegroup(self, path: Mapping[str, str], body: Body) -> Thing:
        cluster, name = path["name"], body["nodegroupName"]
        self._in_cluster(cluster)
        if (cluster, name) in self.node_groups:
            raise _in_use(f"NodeGroup already exists with name {name} and cluster name {cluster}")
        version = body.get("version") or self.clusters[cluster]["version"]
        ident = str(uuid.uuid4())
        group = {
            **_known(body, "nodegroupName", "subnets", "nodeRole", "amiType", "capacityType", "scalingConfig"),
            **_known(body, "instanceTypes", "labels", "taints", "tags", "launchTemplate", "nodeRepairConfig"),
            "clusterName": cluster,
            "nodegroupArn": self._arn(f"nodegroup/{cluster}/{name}/{ident}"),
            "version": version,
            "releaseVersion": body.get("releaseVersion") or f"{version}.2-20260101",
            "updateConfig": body.get("updateConfig") or {"maxUnavailable": 1},
            "resources": {"autoScalingGroups": [{"name": f"eks-{name}-{ident}"}]},
            "health": {"issues": []},
            "createdAt": time.time(),
            "modifiedAt": time.time(),
        }
        self.node_groups[cluster, name] = self._begun(group, name, "CREATE_FAILED")
        return {"nodegroup": self._shown(group)}

    def _describe_nodegroup(self, path: Mapping[str, str], _: Body) -> Thing:
        return {"nodegroup": self._looked_at(self._node_group(path))}

    def _list_nodegroups(self, path: Mapping[str, str], _: Body) -> Thing:
        self._cluster(path["name"])
        return {"nodegroups": sorted(name for owner, name in self.node_groups if owner == path["name"])}

    def _update_nodegroup_config(self, path: Mapping[str, str], body: Body) -> Thing:
        group = self._changeable(self._node_group(path), path["nodegroupName"])
        for key in ("scalingConfig", "updateConfig"):
            if key in body:
                group[key] = {**group.get(key, {}), **body[key]}
        if "nodeRepairConfig" in body:
            group["nodeRepairConfig"] = body["nodeRepairConfig"]
        if labels := body.get("labels"):
            kept = {
                key: value
                for key, value in group.get("labels", {}).items()
                if key not in labels.get("removeLabels", ())
            }
            group["labels"] = {**kept, **labels.get("addOrUpdateLabels", {})}
        if taints := body.get("taints"):
            fresh = taints.get("addOrUpdateTaints", [])
            gone = {(one["key"], one["effect"]) for one in (*fresh, *taints.get("removeTaints", ()))}
            group["taints"] = [
                one for one in group.get("taints", ()) if (one["key"], one["effect"]) not in gone
            ] + fresh
        return self._update("ConfigUpdate")

    def _update_nodegroup_version(self, path: Mapping[str, str], body: Body) -> Thing:
        group = self._changeable(self._node_group(path), path["nodegroupName"])
        if "launchTemplate" in body:
            group["launchTemplate"] = {**group["launchTemplate"], **body["launchTemplate"]}
        for key in ("version", "releaseVersion"):
            if body.get(key):
                group[key] = body[key]
        return self._update("VersionUpdate")

    def _delete_nodegroup(self, path: Mapping[str, str], _: Body) -> Thing:
        group = self._node_group(path)
        del self.node_groups[path["name"], path["nodegroupName"]]
        return {"nodegroup": {**group, "status": "DELETING"}}

    def _node_group(self, path: Mapping[str, str]) -> Thing:
        self._cluster(path["name"])
        name = path["nodegroupName"]
        if (path["name"], name) not in self.node_groups:
            raise _absent(f"No node group found for name: {name}.")
        return self.node_groups[path["name"], name]

    # --- add-ons

    def _create_addon(self, path: Mapping[str, str], body: Body) -> Thing:
        cluster, name = path["name"], body["addonName"]
        self._in_cluster(cluster)
        if (cluster, name) in self.addons:
            raise _in_use(f"Addon already exists with name {name} and cluster name {cluster}")
        arn = self._arn(f"addon/{cluster}/{name}/{uuid.uuid4()}")
        pods = [
            self._associate(cluster, {**each, "namespace": "kube-system"}, owner=arn)["associationArn"]
            for each in body.get("podIdentityAssociations") or ()
        ]
        addon = {
            **_known(body, "addonName", "configurationValues", "tags", "serviceAccountRoleArn"),
            "clusterName": cluster,
            "addonVersion": body.get("addonVersion") or _ADDON_VERSION,
            "addonArn": arn,
            "podIdentityAssociations": pods,
            "health": {"issues": []},
            "createdAt": time.time(),
            "modifiedAt": time.time(),
        }
        self.addons[cluster, name] = self._begun(addon, name, "CREATE_FAILED")
        return {"addon": self._shown(addon)}

    def _describe_addon(self, path: Mapping[str, str], _: Body) -> Thing:
        return {"addon": self._looked_at(self._addon(path))}

    def _list_addons(self, path: Mapping[str, str], _: Body) -> Thing:
        return {"addons": sorted(name for owner, name in self.addons if owner == path["name"])}

    def _update_addon(self, path: Mapping[str, str], body: Body) -> Thing:
        addon = self._changeable(self._addon(path), path["addonName"])
        addon.update(_known(body, "configurationValues", "addonVersion"))
        return self._update("AddonUpdate")

    def _delete_addon(self, path: Mapping[str, str], _: Body) -> Thing:
        addon = self._addon(path)
        del self.addons[path["name"], path["addonName"]]
        for key in [key for key, pod in self.associations.items() if pod.get("ownerArn") == addon["addonArn"]]:
            del self.associations[key]
        return {"addon": {**addon, "status": "DELETING"}}

    def _addon(self, path: Mapping[str, str]) -> Thing:
        self._cluster(path["name"])
        if (path["name"], path["addonName"]) not in self.addons:
            raise _absent(f"No addon: {path['addonName']} found in cluster: {path['name']}")
        return self.addons[path["name"], path["addonName"]]

    # --- who may do what

    def _create_access_entry(self, path: Mapping[str, str], body: Body) -> Thing:
        cluster, principal = path["name"], body["principalArn"]
        self._in_cluster(cluster)
        if (cluster, principal) in self.entries:
            raise _in_use("The specified access entry resource is already in use on this cluster.")
        entry = {
            **_known(body, "principalArn", "tags"),
            "clusterName": cluster,
            "kubernetesGroups": body.get("kubernetesGroups", []),
            "accessEntryArn": self._arn(f"access-entry/{cluster}/role/{self._account}/{uuid.uuid4()}"),
            "username": body.get("username") or principal,
            "type": body.get("type", "STANDARD"),
            "createdAt": time.time(),
            "modifiedAt": time.time(),
        }
        self.entries[cluster, principal] = entry
        return {"accessEntry": entry}

    def _describe_access_entry(self, path: Mapping[str, str], _: Body) -> Thing:
        return {"accessEntry": self._entry(path)}

    def _delete_access_entry(self, path: Mapping[str, str], _: Body) -> Thing:
        self._entry(path)
        del self.entries[path["name"], path["principalArn"]]
        return {}

    def _associate_access_policy(self, path: Mapping[str, str], body: Body) -> Thing:
        self._entry(path)
        policy = {**_known(body, "policyArn", "accessScope"), "associatedAt": time.time(), "modifiedAt": time.time()}
        self.policies[path["name"], path["principalArn"], body["policyArn"]] = policy
        return {"clusterName": path["name"], "principalArn": path["principalArn"], "associatedAccessPolicy": policy}

    def _list_associated_access_policies(self, path: Mapping[str, str], _: Body) -> Thing:
        self._entry(path)
        key = (path["name"], path["principalArn"])
        found = [policy for owner, policy in self.policies.items() if owner[:2] == key]
        return {"clusterName": key[0], "principalArn": key[1], "associatedAccessPolicies": found}

    def _disassociate_access_policy(self, path: Mapping[str, str], _: Body) -> Thing:
        self.policies.pop((path["name"], path["principalArn"], path["policyArn"]), None)
        return {}

    def _entry(self, path: Mapping[str, str]) -> Thing:
        key = (path["name"], path["principalArn"])
        if key not in self.entries:
            raise _absent("The specified principalArn could not be found. You can view your available access entries.")
        return self.entries[key]

    def _create_pod_identity_association(self, path: Mapping[str, str], body: Body) -> Thing:
        self._in_cluster(path["name"])
        return {"association": self._associate(path["name"], body)}

    def _associate(self, cluster: str, body: Body, owner: str | None = None) -> Thing:
        same = (body["namespace"], body["serviceAccount"])
        if any((pod["namespace"], pod["serviceAccount"]) == same for pod in self._pods_of(cluster)):
            raise _in_use(f"Association already exists: {body['serviceAccount']} in {body['namespace']}")
        ident = f"a-{uuid.uuid4().hex[:17]}"
        self.associations[cluster, ident] = {
            **_known(body, "namespace", "serviceAccount", "roleArn", "tags"),
            "clusterName": cluster,
            "disableSessionTags": body.get("disableSessionTags", False),
            "associationId": ident,
            "associationArn": self._arn(f"podidentityassociation/{cluster}/{ident}"),
            "createdAt": time.time(),
            "modifiedAt": time.time(),
            **({"ownerArn": owner} if owner else {}),
        }
        return self.associations[cluster, ident]

    def _describe_pod_identity_association(self, path: Mapping[str, str], _: Body) -> Thing:
        return {"association": self._association(path)}

    def _list_pod_identity_associations(self, path: Mapping[str, str], body: Body) -> Thing:
        wanted = {key: values[0] for key in ("namespace", "serviceAccount") if (values := body.get(key))}
        return {"associations": [pod for pod in self._pods_of(path["name"]) if wanted.items() <= pod.items()]}

    def _update_pod_identity_association(self, path: Mapping[str, str], body: Body) -> Thing:
        self._association(path).update(_known(body, "roleArn"))
        return {"association": self._association(path)}

    def _delete_pod_identity_association(self, path: Mapping[str, str], _: Body) -> Thing:
        association = self._association(path)
        del self.associations[path["name"], path["associationId"]]
        return {"association": association}

    def _association(self, path: Mapping[str, str]) -> Thing:
        key = (path["name"], path["associationId"])
        if key not in self.associations:
            raise _absent(f"No association found with ID: {path['associationId']}")
        return self.associations[key]

    def _pods_of(self, cluster: str) -> Iterator[Thing]:
        return (pod for (owner, _), pod in self.associations.items() if owner == cluster)

    # --- updates and tags

    def _update(self, kind: str) -> Thing:
        ident = str(uuid.uuid4())
        self.updates[ident] = {
            "id": ident,
            "type": kind,
            "status": "Successful",
            "params": [],
            "errors": [],
            "createdAt": time.time(),
        }
        return {"update": {**self.updates[ident], "status": "InProgress"}}

    def _describe_update(self, path: Mapping[str, str], _: Body) -> Thing:
        if path["updateId"] not in self.updates:
            raise _absent(f"No update found for ID: {path['updateId']}")
        return {"update": self.updates[path["updateId"]]}

    def _tag_resource(self, path: Mapping[str, str], body: Body) -> Thing:
        thing = self._by_arn(path["resourceArn"])
        thing["tags"] = {**thing.get("tags", {}), **body["tags"]}
        return {}

    def _untag_resource(self, path: Mapping[str, str], body: Body) -> Thing:
        thing = self._by_arn(path["resourceArn"])
        thing["tags"] = {key: value for key, value in thing.get("tags", {}).items() if key not in body["tagKeys"]}
        return {}

    def _list_tags_for_resource(self, path: Mapping[str, str], _: Body) -> Thing:
        return {"tags": self._by_arn(path["resourceArn"]).get("tags", {})}

    def _by_arn(self, arn: str) -> Thing:
        kinds = (self.clusters, self.node_groups, self.addons, self.entries, self.associations)
        for things in kinds:
            for thing in things.values():
                if arn in thing.values():
                    return thing
        raise _absent(f"no resource {arn}")

    # --- states

    def _begun(self, thing: Thing, name: str, failed: str) -> Thing:
        """The thing in its first state; looking at it brings it to its last."""
        fate = self._faults.fate(name)
        thing["_looks"] = self._faults.looks
        thing["_end"] = "ACTIVE" if fate is None else fate.status
        if fate is not None:
            assert fate.status in (failed, "DEGRADED"), f"a thing of this kind does not become {fate.status}"
            thing["_issues"] = [{"code": fate.code, "message": fate.message, "resourceIds": [name]}]
        thing["status"] = "CREATING"
        return thing

    def _looked_at(self, thing: Thing) -> Thing:
        if thing["status"] == "CREATING":
            if thing["_looks"]:
                thing["_looks"] -= 1
            else:
                thing["status"] = thing["_end"]
                thing["health"] = {"issues": thing.get("_issues", [])}
        return self._shown(thing)

    @staticmethod
    def _shown(thing: Thing) -> Thing:
        return {key: value for key, value in thing.items() if not key.startswith("_")}

    @staticmethod
    def _changeable(thing: Thing, name: str) -> Thing:
        if thing["status"] not in _CHANGEABLE:
            raise _refused(f"{name} cannot be updated as it is currently not in Active State")
        return thing

    def _arn(self, rest: str) -> str:
        return f"arn:aws:eks:{self._region}:{self._account}:{rest}"


def _known(body: Body, *keys: str) -> Thing:
    return {key: body[key] for key in keys if body.get(key) is not None}


def _in_use(message: str) -> AwsError:
    return AwsError(409, "ResourceInUseException", message)


def _absent(message: str) -> AwsError:
    return AwsError(404, "ResourceNotFoundException", message)


def _refused(message: str) -> AwsError:
    return AwsError(400, "InvalidRequestException", message)
