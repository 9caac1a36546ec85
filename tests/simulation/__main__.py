"""Run the simulation outside of pytest: ``python tests/simulation --seed 17 --trace``, ``--seeds 100000 --jobs 2``."""

# ruff: noqa: T201 - a command that prints
from __future__ import annotations

import argparse
import multiprocessing
import sys
import time

from queuesim import simulate_seed


def main() -> int:
    """Exit status 1 if any seed found a problem."""
    parser = argparse.ArgumentParser(prog="python tests/simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one seed")
    parser.add_argument("--trace", action="store_true", help="with --seed: print everything that happened")
    parser.add_argument("--first", type=int, default=0, help="the first of many seeds (default 0)")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds (default 10000)")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes (default 1)")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds) if options.seed is None else [options.seed]
    began = time.monotonic()
    failed = 0
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for report in pool.imap_unordered(simulate_seed, seeds, chunksize=min(50, len(seeds))):
            if options.trace:
                print(report.plan, *report.trace, sep="\n")
            if report.problems:
                failed += 1
                print(report.summary, flush=True)
    print(f"{len(seeds)} seeds, {failed} with problems, {time.monotonic() - began:.0f} s")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
