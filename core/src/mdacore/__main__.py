"""The command ``mdacore``. `run` patches the standard library with gevent before anything else; nothing else does."""

from __future__ import annotations

import sys
from collections.abc import Sequence

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        command = next((word for word in arguments if not word.startswith("-")), "")
        if command == "run" and not {"-h", "--help"} & set(arguments):
            from gevent import monkey

            monkey.patch_all()
        from mdacore.cli import run_command  # only now: what it imports must find a patched library

        return run_command(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
