"""The ``agentgpu`` command: its commands, in the order of the help, and its end."""

from __future__ import annotations

import io
from typing import Final, cast

import typer

from agentgpu_iac.characters import printable
from agentgpu_iac.cli import (
    calculators,
    callers,
    catalog,
    deploying,
    levers,
    plans,
    publish,
    pulumi_projects,
    report,
    scale,
    simulating,
    stacks,
    status,
)
from agentgpu_iac.cli.app import PROGRAM, app, drop_output
from agentgpu_iac.cli.collecting import collect_rarely
from agentgpu_iac.cli.conventions import register
from agentgpu_iac.cli.saying import tell
from agentgpu_iac.credentials import without_credentials
from agentgpu_iac.errors import EXIT_BAD_INPUT, EXIT_OUTSIDE, AgentGpuError

_USAGE_ERROR: Final = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])
"""What the command line raises for options and words that it does not know."""

_COMMANDS = (
    stacks.init,
    stacks.validate,
    plans.plan,
    plans.explain,
    report.report,
    plans.render,
    plans.diff,
    publish.check,
    publish.publish,
    publish.comment,
    levers.levers,
    levers.frontier,
    simulating.simulate,
    callers.endpoints,
    callers.pin,
    deploying.preview,
    deploying.up,
    deploying.destroy,
    status.status,
    scale.scale,
    stacks.schema,
    calculators.size,
    calculators.predict,
    calculators.calibrate,
)
for _command in _COMMANDS:
    register(app, _command)
_catalog = typer.Typer(name="catalog", help="Look at the facts that plans rest on.", no_args_is_help=True)
register(_catalog, catalog.catalog_list, "catalog", "list")
register(_catalog, catalog.catalog_show, "catalog", "show")
register(_catalog, catalog.catalog_update, "catalog", "update")
app.add_typer(_catalog)
_pulumi = typer.Typer(name="pulumi", help="Carry plans out from a Pulumi project of your own.", no_args_is_help=True)
register(_pulumi, pulumi_projects.eject, "pulumi", "eject")
register(_pulumi, pulumi_projects.adopt, "pulumi", "import")
register(_pulumi, pulumi_projects.policies, "pulumi", "policies")
app.add_typer(_pulumi)


def _what_is_missing(error: typer.BadParameter) -> str:
    """What the argument or option that was left out stands for, as its help says it."""
    return str(getattr(error.param, "help", None) or "")


def run() -> None:
    """Entry point: one clear message and an exit code instead of a traceback."""
    collect_rarely()
    try:
        # The name is ours however it was started: as a script, as a module, inside a test.
        code = app(prog_name=PROGRAM, standalone_mode=False)
        raise SystemExit(code if isinstance(code, int) else 0)
    except AgentGpuError as error:
        tell(str(error))
        raise SystemExit(error.exit_code) from None
    except _USAGE_ERROR as error:
        error.message = printable(without_credentials(error.message or _what_is_missing(error)))
        shown = io.StringIO()
        error.show(shown)
        tell(shown.getvalue().rstrip())
        raise SystemExit(EXIT_BAD_INPUT) from None
    except typer.Abort:
        tell("Aborted!")
        raise SystemExit(1) from None
    except OSError as error:
        drop_output()
        tell(f"{error.filename or 'standard output'}: {error.strerror or error}")
        raise SystemExit(EXIT_OUTSIDE) from None
