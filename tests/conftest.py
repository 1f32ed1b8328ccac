"""Shared by all tests: how much of the broad ones is tried; in CI a skipped test is a failure, unless it is marked optional."""

from __future__ import annotations

import gc
import os
from importlib.util import find_spec

import pytest

from tests.thoroughness import WHOLE, examples, part_asked, parted

if find_spec("hypothesis"):  # the environments of make smoke hold what users have, and pytest
    from hypothesis import settings

    from tests.remembering import may_remember, plan_with

    settings.register_profile("stated", max_examples=examples(100), deadline=None)
    settings.load_profile("stated")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(item):
        plan_with(memory=not WHOLE and may_remember(item))


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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Of broad tests those of the part that is asked for; a worker of xdist is told which part by who started it."""
    part = getattr(config, "workerinput", {}).get("part") or part_of(config)
    taken, left = [], []
    for item, is_in in parted(((item, function_of(item), every_of(item)) for item in items), part):
        (taken if is_in else left).append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = taken


def part_of(config):
    try:
        return part_asked(config.args_source is not pytest.Config.ArgsSource.TESTPATHS)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def function_of(item):
    return item.nodeid.partition("[")[0]


def every_of(item):
    mark = item.get_closest_marker("broad")
    return mark and mark.kwargs["every"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    node.workerinput["part"] = part_of(node.config)


SHARING = ("tests/house/", "tests/provisioning/")
"""Rooms whose files look at the same things: the parsed package, and recordings of whole deployments."""


def unit_of(nodeid):
    """What one process runs whole, so that what is made once is made in one: a file, or all of such a room."""
    return next((room for room in SHARING if nodeid.startswith(room)), nodeid.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByRoom(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return unit_of(nodeid)

    return ByRoom(config, log)


def pytest_sessionstart(session):
    """What is collected stays to the end: it need not be looked through again and again, now or later."""
    gc.disable()


def pytest_collection_finish(session):
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_configure(config):
    if os.environ.get("CI"):
        config.pluginmanager.register(SkippedInCi())
