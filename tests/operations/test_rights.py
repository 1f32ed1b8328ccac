"""The rights that docs/status.md asks for are those that reading every rendered kind takes."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]

OF_VIEW = {"", "apps", "autoscaling", "batch", "networking.k8s.io", "policy"}
"""Groups of namespaced kinds that the cluster's own role ``view`` covers."""
NOT_READ = {
    "argoproj.io", "source.toolkit.fluxcd.io", "kustomize.toolkit.fluxcd.io",  # where the GitOps tool runs
    "kustomize.config.k8s.io", "llm-d.ai", "node.eks.aws",  # no objects of a cluster
}  # fmt: skip


def test_the_role_covers_every_kind_that_is_rendered() -> None:
    text = (ROOT / "docs/status.md").read_text(encoding="utf-8")
    role = yaml.safe_load(text.split("```yaml\n", 1)[1].split("```", 1)[0])
    granted = {group for rule in role["rules"] for group in rule["apiGroups"]}
    templates = (path.read_text(encoding="utf-8") for path in (ROOT / "templates/kubernetes").glob("*.j2"))
    found = {name for text in templates for name in re.findall(r"^ *apiVersion: (\S+)$", text, re.MULTILINE)}
    groups = {name.rpartition("/")[0] for name in found}
    assert "karpenter.sh" in groups
    assert groups - OF_VIEW - NOT_READ <= granted
