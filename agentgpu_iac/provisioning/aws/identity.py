"""As whom the provider of this Pulumi stack acts, for whatever asks AWS beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import botocore.session
import pulumi
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConfigParseError,
    CredentialRetrievalError,
    InvalidConfigError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)

from agentgpu_iac.errors import Fault, did_you_mean
from agentgpu_iac.provisioning.faults import CONFIGURATION

_SESSION: Final = "agentgpu"
PATIENCE: Final = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
"""Nobody waits long for an answer that is good to have."""
_WAYS: Final = (
    "pulumi config set aws:profile NAME; or in the environment AWS_PROFILE, or AWS_ACCESS_KEY_ID with "
    "AWS_SECRET_ACCESS_KEY; aws sso login renews a sign-on"
)
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException"})
_WORTHLESS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""AWS's codes for credentials that nobody is known by any more, or ever was."""


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
        sts = session.create_client("sts", region_name=config.get("region"), config=PATIENCE)
        given = sts.assume_role(**wanted)["Credentials"]
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


def credential_faults() -> Iterator[Fault]:
    """Credentials that are missing, have expired or may not assume the role that they should.

    Pulumi's SDK ends a program whose first look-up failed, in the provider's words; so this asks before it. Nobody is asked
    where the provider is told not to ask either (``aws:skipCredentialsValidation``) or asks somebody else (``aws:endpoints``).
    Where AWS is not reached, nothing is held against the credentials.
    """
    config = pulumi.Config("aws")
    if config.get_bool("skipCredentialsValidation") or config.get("endpoints"):
        return
    try:
        acting = session()
        if acting.get_scoped_config().get("mfa_serial"):  # it would ask for a code on the terminal
            return
        found = acting.get_credentials()
        if found is None:
            raise NoCredentialsError
        found.get_frozen_credentials()
        acting.create_client("sts", region_name=config.get("region"), config=PATIENCE).get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        yield from _credential_fault(error)


def _credential_fault(error: Exception) -> Iterator[Fault]:
    """What is wrong with the credentials; nothing where the error says nothing of them."""
    profile = pulumi.Config("aws").get("profile")
    source, path = (CONFIGURATION, "aws:profile") if profile else ("environment", "AWS credentials")
    match error:
        case NoCredentialsError():
            message, hint = "there are no AWS credentials on this machine", _WAYS
            message = f"the AWS profile {profile!r} has no credentials" if profile else message
        case SSOError() | TokenRetrievalError():
            message = f"the sign-on to AWS is missing or has ended: {error}"
            hint = f"aws sso login --profile {profile}" if profile else "aws sso login"
        case ClientError():
            answer = error.response.get("Error", {})
            said, code = f"{answer.get('Code')}: {answer.get('Message')}", answer.get("Code")
            if code in _WORTHLESS:
                message, hint = f"AWS does not take these credentials: {said}", _WAYS
            elif code in _DENIED and error.operation_name.startswith("AssumeRole"):
                path = "aws:assumeRoles" if _assumed_roles() else path
                source = CONFIGURATION if _assumed_roles() else source
                message = f"the role may not be assumed: {said}"
                hint = "the role's trust policy must name who asks, who must be allowed sts:AssumeRole on it"
            else:
                return
        case CredentialRetrievalError() | PartialCredentialsError() | InvalidConfigError() | ConfigParseError():
            message, hint = f"there are no AWS credentials to be had: {error}", _WAYS
        case _:
            return
    yield Fault(source=source, path=path, message=message, hint=hint)


def acting_role() -> str | None:
    """The role of ``aws:assumeRoles`` by which the provider acts: the last of several; None where none is assumed."""
    roles = _assumed_roles()
    return roles[-1].get("roleArn") if roles else None


def _assumed_roles() -> Sequence[Mapping[str, Any]]:
    return pulumi.Config("aws").get_object("assumeRoles") or ()
