"""The planner asked again: what changes of a spec would cost or save."""
