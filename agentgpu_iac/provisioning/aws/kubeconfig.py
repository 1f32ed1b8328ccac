"""The kubeconfig of an EKS cluster: it holds no token, only the command that fetches a short-lived one."""

from __future__ import annotations

import json


def kubeconfig(
    *,
    cluster: str,
    region: str,
    endpoint: str,
    certificate_authority: str,
    profile: str | None = None,
    role_arn: str | None = None,
) -> str:
    """Write a kubeconfig for whoever has AWS credentials and an access entry on the cluster.

    It needs the ``aws`` command on the PATH, on your machine and wherever ``pulumi up`` runs. Profile and role are those by
    which Pulumi makes the stack: another identity has no entry on the cluster.
    """
    role = [] if role_arn is None else ["--role-arn", role_arn]
    of_profile = {} if profile is None else {"env": [{"name": "AWS_PROFILE", "value": profile}]}
    login = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["--region", region, "eks", "get-token", "--cluster-name", cluster, "--output", "json", *role],
        "interactiveMode": "Never",
        **of_profile,
    }
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": endpoint, "certificate-authority-data": certificate_authority},
            }
        ],
        "users": [{"name": cluster, "user": {"exec": login}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
        "current-context": cluster,
    }
    return json.dumps(document, indent=2)
