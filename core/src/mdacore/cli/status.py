"""Exit statuses (sysexits.h where it has one), and which error ends with which."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from mdacore.words import ConfigError, MdaError

FAILED = 1
BAD_DATA = 65
NO_INPUT = 66
UNAVAILABLE = 69
CANNOT_CREATE = 73
IO_ERROR = 74
TRY_AGAIN = 75
CONFIG = 78
INTERRUPTED = 130


class CommandFailure(Exception):
    """The command cannot do what was asked; its text is for the operator."""

    def __init__(self, text: str, status: int = FAILED) -> None:
        super().__init__(text)
        self.status = status


@contextmanager
def exit_statuses() -> Iterator[None]:
    """Turn the errors that operators should see into lines on standard error and an exit status, never a traceback.

    A reader that went away (``| head``) is no error.
    """
    try:
        yield
        sys.stdout.flush()
    except ConfigError as error:
        _say(*map(str, error.problems), f"mdacore: {_count(len(error.problems))} in the configuration")
        raise click.exceptions.Exit(CONFIG) from error
    except CommandFailure as error:
        _say(f"mdacore: {error}")
        raise click.exceptions.Exit(error.status) from error
    except MdaError as error:
        _say(f"mdacore: {error}")
        raise click.exceptions.Exit(FAILED) from error
    except BrokenPipeError as error:
        _drop_output()
        raise click.exceptions.Exit(0) from error
    except OSError as error:
        _drop_output()
        _say(f"mdacore: {error}")
        raise click.exceptions.Exit(IO_ERROR) from error
    except KeyboardInterrupt as error:
        raise click.exceptions.Exit(INTERRUPTED) from error


def _count(number: int) -> str:
    return "1 problem" if number == 1 else f"{number} problems"


def _say(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _drop_output() -> None:
    """Nobody reads any more: else the interpreter complains when it flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
