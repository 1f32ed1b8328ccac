"""The certificate that all machines of a stack share. Callers, and the front machine, trust it alone.

It is made before the machines are, so it names no address but the stack: callers ask for that name at whichever address. Its
key is a Pulumi secret.
"""

from __future__ import annotations

from typing import Any, Final

import pulumi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider

from agentgpu_iac.provisioning.spheron.clock import in_days

_DAYS: Final = 3650
"""Nobody trusts it but who was given it, and a new one means new machines."""


def make_certificate(server_name: str) -> tuple[str, str]:
    """A self-signed certificate of a server and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "agentgpu")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(in_days(-1))
        .not_valid_after(in_days(_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(server_name)]), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(encoding).decode(), private.decode()


class _CertificateProvider(ResourceProvider):
    def create(self, props: dict[str, Any]) -> CreateResult:
        name = str(props["serverName"])
        certificate, key = make_certificate(name)
        return CreateResult(name, {"serverName": name, "certificate": certificate, "privateKey": key})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        changed = olds.get("serverName") != news["serverName"]
        return DiffResult(changes=changed, replaces=["serverName"] if changed else [])


class MachinesCertificate(Resource, module="agentgpu", name="MachinesCertificate"):
    """A certificate that stays the same for as long as its name does."""

    certificate: pulumi.Output[str]
    privateKey: pulumi.Output[str]  # noqa: N815 - Pulumi's own spelling

    def __init__(self, name: str, server_name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        secret = pulumi.ResourceOptions(additional_secret_outputs=["privateKey"])
        super().__init__(
            _CertificateProvider(),
            name,
            {"serverName": server_name, "certificate": None, "privateKey": None},
            pulumi.ResourceOptions.merge(opts, secret),
        )
