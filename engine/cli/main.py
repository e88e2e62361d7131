"""The `easel` command. A sub-command imports what it needs when it runs, so that help and completion answer at once."""

from __future__ import annotations

from typing import Annotated

import typer

from engine import __version__
from engine.cli import config, doctor, import_file, inspect_file, nodes, run, serve, train
from engine.cli.output import report_error
from engine.errors import EaselError

app = typer.Typer(
    name="easel",
    help="A node-graph engine for diffusion images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("run")(run.run)
app.command("train")(train.train)
app.command("nodes")(nodes.nodes)
app.command("import")(import_file.import_file)
app.command("inspect")(inspect_file.inspect_file)
app.command("config")(config.config)
app.command("doctor")(doctor.doctor)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"easel {__version__}")
        raise typer.Exit


@app.callback()
def _easel(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; an error that Easel raises on purpose is printed with its hint and ends with exit code 1."""
    try:
        app()
    except EaselError as error:
        report_error(error)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
