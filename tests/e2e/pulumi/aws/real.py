"""The real provider: Terraform's AWS provider behind Pulumi's bridge, before an account that the front plays.

What is real beyond the double's suites: the provider's schema, validation, plan, defaults, order of calls, waits and
errors, and the bridge's state. What is not: AWS. moto and the front answer, start no machine, and know few of its rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.e2e.pulumi.aws.account import Account
from tests.e2e.pulumi.aws.front.server import Front
from tests.e2e.pulumi.aws.plugins import write_plugins
from tools.install import path as tool

PLUGIN: Final = "pulumi-resource-aws"
CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class RealAccount(Account):
    """One stack's world with the real provider in it."""

    def __init__(self, folder: Path, front: Front, spec: str) -> None:
        super().__init__(folder, front.endpoint, spec)
        self.front = front

    def _configure(self) -> None:
        self.project.config("aws:s3UsePathStyle", "true")

    def _provider(self, endpoint: str) -> dict[str, str]:
        # S3 Control puts the account's number before the host, which only a proxy can resolve here.
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "HTTP_PROXY": endpoint}

    def _plugins(self, folder: Path) -> Path:
        write_plugins(folder, "kubernetes")
        (folder / PLUGIN).symlink_to(tool(PLUGIN))
        return folder

    def pod_roles(self) -> dict[tuple[str, str], str]:
        """The role of each namespace and service account that has one."""
        pods = self.front.eks.associations.values()
        return {(pod["namespace"], pod["serviceAccount"]): pod["roleArn"] for pod in pods}

    def what_is_there(self) -> dict[str, list[str]]:
        eks, ec2 = self.front.eks, self.front.ec2
        kept = {
            "add-ons": sorted(name for _, name in eks.addons),
            "access entries": sorted(principal for _, principal in eks.entries),
            "pod identities": sorted(pod["serviceAccount"] for pod in eks.associations.values()),
            "placement groups": sorted(ec2.placement_groups),
            "reservations": sorted(key for key, one in ec2.reservations.items() if one["state"] == "active"),
        }
        return {**super().what_is_there(), **{name: things for name, things in kept.items() if things}}


@contextmanager
def real_account(folder: Path, front: Front, spec: str) -> Iterator[RealAccount]:
    """An empty account, and a project whose stack is not up yet."""
    front.reset()
    folder.mkdir(parents=True, exist_ok=True)
    yield RealAccount(folder, front, spec)
