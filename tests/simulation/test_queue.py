"""The queue loses nothing, whatever fails and wherever the process dies: thousands of runs, the same every time."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from queuesim import Plan, simulate, simulate_seed

SEEDS = int(os.environ.get("MDACORE_SIMULATION_SEEDS", "2000"))
BLOCKS = 10
"""So that a failure shows soon, and its seed."""
FIRST_TRACES = "from queuesim import simulate_seed\nfor n in range(40): print(*simulate_seed(n).trace, sep='\\n')"


class TestSeeds:
    @pytest.mark.parametrize("block", range(BLOCKS))
    def test_every_accepted_recipient_meets_one_end(self, block: int) -> None:
        """I0, I1 and I2 of the design, and all that stands in `queuesim.ledger`."""
        for seed in range(block * SEEDS // BLOCKS, (block + 1) * SEEDS // BLOCKS):
            report = simulate_seed(seed)

            assert not report.problems, report.summary


class TestReplay:
    def test_a_seed_gives_the_same_trace_in_another_process(self) -> None:
        """Neither addresses nor the order of sets may decide anything: a failing seed is worth nothing otherwise."""
        digests = set()
        for hash_seed in ("1", "2"):
            ran = subprocess.run(
                [sys.executable, "-c", FIRST_TRACES],
                cwd=Path(__file__).parent,
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                capture_output=True,
                check=True,
                timeout=600,
            )
            digests.add(sha256(ran.stdout).hexdigest())

        assert 1 == len(digests)

    def test_a_plan_is_a_value(self) -> None:
        plan = Plan.of(7)

        assert simulate(plan).trace == simulate(Plan.of(7)).trace
