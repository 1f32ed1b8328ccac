"""Closed sets of words that plans use and specs do not."""

from __future__ import annotations

from typing import Literal

PriorityLevel = Literal["user-facing", "burst", "background"]

Topology = Literal["zone", "host"]

WeightLoader = Literal["default", "safetensors", "fastsafetensors", "runai-streamer"]
