"""`python profiled.py FILE COMMAND...`: ``mdacore COMMAND...``, with the calls of its event loop's thread counted into
FILE, as `pstats` reads it, when it ends."""

from __future__ import annotations

import cProfile
import runpy
import sys


def main() -> int:
    """The exit status is the command's."""
    into, sys.argv = sys.argv[1], ["mdacore", *sys.argv[2:]]
    profile = cProfile.Profile()
    try:
        profile.runcall(runpy.run_module, "mdacore", run_name="__main__")
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        profile.dump_stats(into)
    return 0


if __name__ == "__main__":
    sys.exit(main())
