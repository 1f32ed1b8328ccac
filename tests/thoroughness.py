"""How many examples a law is tried on: an eighth in ``make test``, all of them in ``make laws``."""

from __future__ import annotations

import os

WHOLE = os.environ.get("AGENTGPU_LAWS") == "whole"


def examples(count: int) -> int:
    """Examples to try of a law that ``make laws`` tries on ``count``; never under ten."""
    return count if WHOLE else max(count // 8, min(count, 10))
