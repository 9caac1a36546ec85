"""The benchmark is scripts, not a distribution: its folder goes on the path for the tests beside this file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
