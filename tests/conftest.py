"""Shared by all tests: in CI a skipped test is a failure, unless it is marked optional."""

from __future__ import annotations

import gc
import os
from importlib.util import find_spec

import pytest

from tests.thoroughness import examples

if find_spec("hypothesis"):  # the environments of make smoke hold what users have, and pytest
    from hypothesis import settings

    settings.register_profile("stated", max_examples=examples(100), deadline=None)
    settings.load_profile("stated")


class SkippedInCi:
    """Collects skipped tests that CI must run."""

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.optional: list[str] = []

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item, call):
        outcome = yield
        report = outcome.get_result()
        report.optional = item.get_closest_marker("optional") is not None

    def pytest_runtest_logreport(self, report):
        if report.skipped and not hasattr(report, "wasxfail"):
            (self.optional if getattr(report, "optional", False) else self.skipped).append(report.nodeid)

    def pytest_sessionfinish(self, session, exitstatus):
        if self.skipped and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        for nodeid in self.skipped:
            terminalreporter.write_line(f"skipped, though CI must run it: {nodeid}")
        for nodeid in self.optional:
            terminalreporter.write_line(f"skipped, as it may be where this machine lacks what it needs: {nodeid}")


def pytest_collection_finish(session):
    """What was collected stays to the end: it need not be looked through again and again."""
    gc.collect()
    gc.freeze()


def pytest_configure(config):
    if os.environ.get("CI"):
        config.pluginmanager.register(SkippedInCi())
