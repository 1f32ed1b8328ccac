"""Closed sets of codes that plans carry: what was warned of, what stopped a candidate, and the units of both."""

from __future__ import annotations

from typing import Literal

WarningCode = Literal[
    "answer-over-2s",
    "burst-absorbed",
    "burst-not-scaled",
    "burst-outruns-cold-start",
    "cache-miss",
    "calibrated-by-you",
    "callers-not-asked",
    "callers-on-the-machine",
    "efa-image",
    "engine-suggestion",
    "fixed-size-pool",
    "gateway-address",
    "gitops-overlay",
    "held-capacity",
    "hpa-keeps-one",
    "image-registry",
    "image-size-unknown",
    "key-not-everywhere",
    "loader-unmeasured",
    "metrics-not-scraped",
    "no-reasoning-parser",
    "no-tool-parser",
    "nobody-logs-in",
    "other-checkpoint",
    "prompts-queue",
    "quantised-at-load",
    "queue-not-limited",
    "router-needed",
    "schedule-capped",
    "schedule-ignored",
    "several-machines",
    "sharing-not-exhaustive",
    "single-replica",
    "skyserve-clouds",
    "skyserve-controller",
    "skyserve-drain",
    "skyserve-endpoint",
    "skyserve-not-scaled",
    "skyserve-one-command",
    "skyserve-routing",
    "skyserve-twice",
    "speculative-unmeasured",
    "spot-without-notice",
    "storage",
    "too-few-seats",
    "uncalibrated",
    "undated-price",
    "unknown-engine-version",
    "unpinned",
    "unpriced",
    "weights-not-filled",
]
"""What a warning is about; ``plan.meanings`` says what to do about each."""

Constraint = Literal[
    "batched-tokens",
    "capacity-type",
    "container",
    "context-length",
    "e2e",
    "engine",
    "engine-feature",
    "engine-version",
    "host-memory",
    "memory",
    "no-fabric",
    "no-latency-data",
    "parallelism",
    "precision",
    "replicas",
    "reserved-days",
    "reserved-stability",
    "several-nodes",
    "sharing",
    "speculative",
    "spot-baseline",
    "spot-drain",
    "spot-notice",
    "tpot",
    "ttft",
    "unpriced",
    "weights",
    "whole-machine",
]
"""What stopped a candidate; ``plan.meanings`` says what its need and limit are, and what would lift it."""

RejectionUnit = Literal[
    "",
    "GiB",
    "Gbps",
    "TFLOPS",
    "accelerators",
    "accelerators a node",
    "days",
    "ms",
    "nodes on spot",
    "ratio",
    "replicas",
    "s",
    "tokens",
]
"""Unit of a rejection's need and limit; empty where there are no figures."""

AlertUnit = Literal[
    "errors", "nodes", "of the KV cache", "of the requests", "pods", "preemptions", "replicas", "requests"
]
"""Unit of an alert's threshold; ``of the ...`` is a share from 0 to 1."""
