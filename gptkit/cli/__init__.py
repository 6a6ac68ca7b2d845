"""The command line: parse, call a recipe, print errors.

Commands import what they need in their bodies: `gptkit --help` imports no torch.
"""

from __future__ import annotations

import errno
import io
import sys

import typer

from gptkit import __version__
from gptkit.cli import (
    chat,
    checkpoint,
    compare,
    config,
    doctor,
    evaluate,
    explain,
    export,
    finetune,
    import_,
    plan,
    prepare,
    report,
    sample,
    sweep,
    tokenizer,
    train,
)
from gptkit.errors import GptkitError, Interrupted
from gptkit.runtime.interrupt import end_on_signals
from gptkit.runtime.launch import Place
from gptkit.runtime.lifeline import end_with_parent
from gptkit.runtime.process import share_the_cores

# The user's to mend, wherever it comes up.
_DISK_SAYS_NO = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}

app = typer.Typer(
    name="gptkit",
    help="Train, evaluate and sample small GPT language models from one YAML file.",
    epilog="Start with: gptkit train quickstart",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("train")(train.train)
app.command("finetune")(finetune.finetune)
app.command("sample")(sample.sample)
app.command("chat")(chat.chat)
app.command("eval")(evaluate.evaluate)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("sweep")(sweep.sweep)
app.command("explain")(explain.explain)
app.command("prepare")(prepare.prepare)
app.command("plan")(plan.plan)
app.command("doctor")(doctor.doctor)
app.add_typer(export.app, name="export")
app.add_typer(import_.app, name="import")
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(checkpoint.app, name="checkpoint")
app.add_typer(config.app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gptkit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version and end.",
    ),
) -> None:
    """Train, evaluate and sample small GPT language models from one YAML file."""


def main() -> None:
    """Run the command line; errors that a user can mend become one message and an exit code, and so do signals."""
    end_on_signals()
    end_with_parent()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Text of any language must print, also into a pipe on Windows or under LANG=C.
            stream.reconfigure(encoding="utf-8", errors="replace")
    share_the_cores()
    try:
        app()
    except Interrupted as stopped:
        if Place.from_environment().rank == 0:  # it speaks for the others
            print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_code)
    except GptkitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in _DISK_SAYS_NO:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror}", file=sys.stderr)
        sys.exit(1)
