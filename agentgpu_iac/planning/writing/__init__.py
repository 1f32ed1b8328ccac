"""The plan as it is written down: assembled, costed, with its sums, its overrides and its assumptions."""
