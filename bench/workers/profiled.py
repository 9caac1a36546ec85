"""`python profiled.py FILE COMMAND...`: ``mdacore COMMAND...``, with the calls of its event loop's thread counted.

When it ends they go into FILE: JSON, for each function the file that it stands in and how often it was called.
"""

from __future__ import annotations

import cProfile
import json
import runpy
import sys
from pathlib import Path


def main() -> int:
    """The exit status is the command's."""
    into, sys.argv = sys.argv[1], ["mdacore", *sys.argv[2:]]
    profile = cProfile.Profile()
    try:
        profile.runcall(runpy.run_module, "mdacore", run_name="__main__")
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        profile.create_stats()
        calls = [(file, count) for (file, _, _), (_, count, *_) in profile.stats.items()]
        Path(into).write_text(json.dumps(calls))
    return 0


if __name__ == "__main__":
    sys.exit(main())
