"""What stands in the account already, asked of AWS as whom the provider acts.

Not through the provider's own look-ups: they fail with text alone, so what is not there could not be told from what may not be
asked, and where the provider itself cannot begin, the engine ends the program before a sentence of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from agentgpu_iac.provisioning.aws.identity import PATIENCE, Unanswered, session

_MISSING: Final = frozenset({"ResourceNotFoundException", "NoSuchEntity"})

Answer = TypeVar("Answer")


class LookUps(Protocol):
    """What can be asked. None: there is no such thing.

    Raises ``Unanswered`` where AWS does not say.
    """

    def cluster(self, name: str) -> Mapping[str, Any] | None:
        """An EKS cluster, as ``DescribeCluster`` tells it."""

    def role(self, name: str) -> Mapping[str, Any] | None:
        """An IAM role, as ``GetRole`` tells it, its trust policy read."""

    def addon(self, cluster: str, name: str) -> Mapping[str, Any] | None:
        """An add-on of a cluster."""

    def entry(self, cluster: str, principal_arn: str) -> Mapping[str, Any] | None:
        """The access entry of a role or user."""

    def caller(self) -> str:
        """The ARN of whoever asks."""


class AwsLookUps:
    """Asks AWS itself."""

    def __init__(self, region: str) -> None:
        try:
            acting = session()
            self._eks = acting.create_client("eks", region_name=region, config=PATIENCE)
            self._iam = acting.create_client("iam", region_name=region, config=PATIENCE)
            self._sts = acting.create_client("sts", region_name=region, config=PATIENCE)
        except (BotoCoreError, ClientError) as error:
            raise Unanswered(str(error)) from error

    def cluster(self, name: str) -> Mapping[str, Any] | None:
        """An EKS cluster, as ``DescribeCluster`` tells it."""
        return _answered(lambda: self._eks.describe_cluster(name=name)["cluster"])

    def role(self, name: str) -> Mapping[str, Any] | None:
        """An IAM role, as ``GetRole`` tells it, its trust policy read."""
        return _answered(lambda: self._iam.get_role(RoleName=name)["Role"])

    def addon(self, cluster: str, name: str) -> Mapping[str, Any] | None:
        """An add-on of a cluster."""
        return _answered(lambda: self._eks.describe_addon(clusterName=cluster, addonName=name)["addon"])

    def entry(self, cluster: str, principal_arn: str) -> Mapping[str, Any] | None:
        """The access entry of a role or user."""
        return _answered(
            lambda: self._eks.describe_access_entry(clusterName=cluster, principalArn=principal_arn)["accessEntry"]
        )

    def caller(self) -> str:
        """The ARN of whoever asks."""
        return _answered(lambda: str(self._sts.get_caller_identity()["Arn"])) or ""


def _answered(ask: Callable[[], Answer]) -> Answer | None:
    try:
        return ask()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            return None
        raise Unanswered(str(error)) from error
    except BotoCoreError as error:
        raise Unanswered(str(error)) from error


def asking(region: str) -> LookUps:
    """How to ask, as whom the provider of this Pulumi stack acts.

    Raises:
        Unanswered: there are no credentials, or a role may not be assumed.
    """
    return AwsLookUps(region)
