"""The kill loop: clients that note every 250, SIGKILL of the real `mdacore run` at random moments, restart, drain.

``python tests/system/killloop --kills 10000`` kills ten thousand times; what was accepted must have arrived or have
come back as a notice, and only deliveries in flight at a kill may have been repeated.
"""

# ruff: noqa: T201 - a command that prints
from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import attrs
from account import MAX_SHOWN, Account
from clients import Clients
from host import Host

DRAIN_S = 300.0
SWEEP_S = 120.0
"""How long a started storage may take to remove files that no message names."""


@attrs.define
class Counter:
    """Kills done so far, over all services."""

    wanted: int
    ends_at: float
    done: int = 0
    lock: threading.Lock = attrs.field(factory=threading.Lock)

    def take(self) -> bool:
        """One more kill is wanted."""
        with self.lock:
            if self.done >= self.wanted or time.monotonic() > self.ends_at:
                return False
            self.done += 1
            if self.done % 100 == 0:
                print(f"{self.done} kills", flush=True)
            return True


def run_host(folder: Path, name: str, options: argparse.Namespace, counter: Counter) -> tuple[Account, list[str]]:
    """Kill one service again and again, drain it, and look."""
    host = Host(folder / name)
    host.configure(loses=options.loses)
    chance = Random(f"{options.seed} {name}")
    clients = Clients(host, name=name, count=options.clients, seed=options.seed)
    clients.start()
    try:
        while counter.take():
            host.launch()
            if chance.random() < 0.15 and clients.has_accepted:  # also while it starts and recovers
                time.sleep(chance.uniform(0.1, 0.8))
            else:
                host.wait_until_it_accepts()
                clients.wait_for_answers()
                time.sleep(chance.choice((chance.uniform(0, 0.05), chance.uniform(0, 0.3), chance.uniform(0, 1.5))))
            host.kill()
    finally:
        clients.stop()
    left = _drain(host)
    account = Account(host, clients.messages)
    account.read()
    return account, [*clients.errors, *account.problems(left)]


def _drain(host: Host) -> list[dict[str, object]]:
    """Let a last process do what is left, and stop it; then once more, until what nobody needs has been swept."""
    host.launch()
    host.wait_until_it_accepts()
    end = time.monotonic() + DRAIN_S
    while host.entries() and time.monotonic() < end:
        host.release_suspects()
        time.sleep(0.5)
    host.terminate()
    host.launch()
    host.wait_until_it_accepts()
    end = time.monotonic() + SWEEP_S
    while host.bodies() and time.monotonic() < end:
        time.sleep(0.05)
    host.terminate()
    return host.entries()


def report(name: str, account: Account, problems: list[str]) -> None:
    """What is wrong, and what the log says about it."""
    print(f"{name}: {len(problems)} problems; everything is in {account.host.folder}")
    for problem in problems[:MAX_SHOWN]:
        print(f"  {problem}")
    lines = account.lines_of_the_log
    for problem in problems[:MAX_SHOWN]:
        words = [word.strip(":") for word in problem.split() if "@" in word]
        mentions = [line for line in lines if any(word in line for word in words)]
        print(*(f"    {line[:400]}" for line in itertools.islice(mentions, 8)), sep="\n")


def main() -> int:
    """Exit status 1 if anything was lost, repeated without a reason, or left behind."""
    parser = argparse.ArgumentParser(prog="python tests/system/killloop", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="how many, over all services (default 500)")
    parser.add_argument("--limit-s", type=float, default=float("inf"), help="no further kill after this time")
    parser.add_argument("--services", type=int, default=2, help="how many at the same time (default 2)")
    parser.add_argument("--clients", type=int, default=3, help="of each service (default 3)")
    parser.add_argument("--seed", type=int, default=0, help="of messages and moments (default 0)")
    parser.add_argument("--folder", type=Path, help="an empty or new folder for everything (default: a temporary one)")
    parser.add_argument("--loses", action="store_true", help="with a relay that loses mail: must end with status 1")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="killloop-"))
    began = time.monotonic()
    counter = Counter(options.kills, began + options.limit_s)
    names = [f"s{number}" for number in range(options.services)]
    with ThreadPoolExecutor(options.services) as pool:
        results = list(pool.map(lambda name: run_host(folder, name, options, counter), names))
    for name, (account, problems) in zip(names, results, strict=True):
        if problems:
            report(name, account, problems)
            sizes = f"--kills {options.kills} --services {options.services} --clients {options.clients}"
            print(f"repeat: python tests/system/killloop {sizes} --seed {options.seed}")
    messages = [message for account, _ in results for message in account.messages.values()]
    states = {
        state: sum(message.state == state for message in messages)
        for state in ("accepted", "unknown", "unsent", "refused")
    }
    notices = sum(len(account.notices) for account, _ in results)
    duplicates = sum(account.duplicates for account, _ in results)
    print(
        f"{counter.done} kills in {time.monotonic() - began:.0f} s; {states}; "
        f"{notices} recipients returned, {duplicates} deliveries in flight repeated"
    )
    return int(any(problems for _, problems in results))


if __name__ == "__main__":
    sys.exit(main())
