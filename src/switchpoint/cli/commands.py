"""What people type, and ``main``, the entry point of every command."""

import contextlib
import os
import re
import stat
import sys
from importlib import metadata
from typing import Annotated

import typer
import typer.core

from switchpoint import files
from switchpoint.cli import analyse, stages, studies
from switchpoint.errors import InputError, StoppedError, installing
from switchpoint.study.plan import FINISHED


class Commands(typer.core.TyperGroup):
    """The commands; a wrong option or argument of one is an InputError, which is one line."""

    def invoke(self, ctx):
        """The command's result."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter.__base__ as error:  # of wrong, missing and unknown ones alike
            problem = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
            raise InputError(
                f"{problem}; `{(error.ctx or ctx).command_path} --help` shows what there is"
            ) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="`switchpoint COMMAND --help` shows a command's options and an example. Rules call more commands, which "
    "docs/own-runs.md does not need: `switchpoint sft --help`, and so on.",
)
PANELS = {"Analyse runs": analyse.app, "Run a study": studies.app, "Called by the workflow": stages.app}
for panel, commands in PANELS.items():
    for command in commands.registered_commands:
        command.rich_help_panel, command.hidden = panel, commands is stages.app
    app.add_typer(commands)


def show_version(asked: bool) -> None:
    """Prints the version and ends."""
    if asked:
        typer.echo(f"switchpoint {metadata.version('switchpoint')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """When to switch a language model from SFT to RL, on which data, and how high it can get."""


def main() -> None:
    """The commands; bad input and a full disk end with a message and exit code 2, without a traceback, and a job that
    stopped in time with the code of a temporary failure (75).

    In a log the last line of one that ended well is ``plan.FINISHED``, which tells it from one that failed.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # names may have letters that the terminal lacks
    try:
        if any(re.fullmatch(r"(--[\w-]+=)?", argument) for argument in sys.argv[1:]):
            raise InputError(
                "an argument is empty (an unset variable of the shell?); fill it in, or leave it out"
            )
        app()
    except InputError as error:
        fail(f"error: {error}")
    except ModuleNotFoundError as error:
        if str(error.name).startswith("switchpoint"):
            raise
        fail(f"error: this command needs the package {error.name}: {installing('study')}")
    except StoppedError as stop:
        fail(str(stop), os.EX_TEMPFAIL)
    except OSError as error:
        if error.errno not in files.FULL:
            raise
        fail(f"error: disk full: {error.filename or 'the output'}: free space and run again")
    except SystemExit as done:
        if not done.code and writes_a_log():
            print(FINISHED, file=sys.stderr)
        raise


def fail(message: str, code: int = 2) -> None:
    """Ends with this exit code, whether or not what was printed can still be written."""
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python ends with another code and lines of its own
    sys.exit(code)


def writes_a_log() -> bool:
    """Whether output and errors go to one file, as the rules have it."""
    one, other = os.fstat(1), os.fstat(2)
    return stat.S_ISREG(one.st_mode) and os.path.samestat(one, other)
