"""Suites on real components: a control plane, an engine, checkers. ``make tools`` builds what they need."""
