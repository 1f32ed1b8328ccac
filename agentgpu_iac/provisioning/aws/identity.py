"""As whom the provider of this Pulumi stack acts, for whatever asks AWS beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import botocore.session
import pulumi

from agentgpu_iac.errors import Fault, did_you_mean
from agentgpu_iac.provisioning.faults import CONFIGURATION

_SESSION: Final = "agentgpu"


class Unanswered(Exception):
    """AWS was not to be asked; the message says why."""


def session() -> Any:
    """A session with what ``aws:profile``, ``aws:accessKey`` and ``aws:assumeRoles`` say; the environment speaks else."""
    config = pulumi.Config("aws")
    session = botocore.session.Session(profile=config.get("profile"))
    key, secret = config.get("accessKey"), config.get("secretKey")
    if key and secret:
        session.set_credentials(key, secret, config.get("token"))
    for role in _assumed_roles():
        wanted = {"RoleArn": role["roleArn"], "RoleSessionName": role.get("sessionName") or _SESSION}
        if external := role.get("externalId"):
            wanted["ExternalId"] = external
        given = session.create_client("sts").assume_role(**wanted)["Credentials"]
        session = botocore.session.Session()
        session.set_credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    return session


def profile_faults() -> Iterator[Fault]:
    """A profile, of ``aws:profile`` or of the environment, that no file of AWS profiles on this machine has."""
    known = botocore.session.Session()
    configured = pulumi.Config("aws").get("profile")
    wanted = configured or known.profile
    if wanted and wanted not in known.available_profiles:
        near = did_you_mean(wanted, known.available_profiles)
        yield Fault(
            source=CONFIGURATION if configured else "environment",
            path="aws:profile" if configured else "AWS_PROFILE",
            message=f"there is no AWS profile {wanted!r} on this machine",
            hint=near or "aws configure list-profiles names those that there are",
        )


def acting_role() -> str | None:
    """The role of ``aws:assumeRoles`` by which the provider acts: the last of several; None where none is assumed."""
    roles = _assumed_roles()
    return roles[-1].get("roleArn") if roles else None


def _assumed_roles() -> Sequence[Mapping[str, Any]]:
    return pulumi.Config("aws").get_object("assumeRoles") or ()
