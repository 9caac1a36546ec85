"""The command line: what operators type. Each command imports what it needs when it runs, so that help is quick."""

from mdacore.cli.main import cli, run_command

__all__ = ["cli", "run_command"]
