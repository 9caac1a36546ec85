"""Where the service spends its time on a message: CPU time by thread, and calls in Python by package.

Two lives of the target `mdacore` of `accept`, with the same load: one is left alone and its threads' CPU time is read
from the kernel; the other is run under cProfile, which makes it several times slower, and only its calls are counted.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mdabench import load, machine, slowsync
from mdabench.cases import CASES, Case
from mdabench.load import BENCH, Unavailable
from mdabench.server import Failed, Server, running
from mdabench.targets import Mdacore

WARM_UP = 1000
LIMIT_S = 120.0
EVERY_MESSAGE = 0.9
"""What is called less often than that belongs to the start, to commits, to the log's own rhythm."""

_OURS = re.compile(r"mdacore(_\w+)?(/(contracts|protocol|queue|runtime|words))?")


class Profiled(Mdacore):
    """The service under cProfile."""

    name = "mdacore, profiled"

    def __init__(self, into: Path) -> None:
        self._into = into

    def command(self, data: Path, port: int) -> list[str]:
        python, _, _, *words = super().command(data, port)
        return [python, str(BENCH / "workers" / "profiled.py"), str(self._into), *words]


@dataclass(frozen=True)
class Spent:
    """CPU seconds of one thread so far, and of these in the kernel."""

    all_s: float
    kernel_s: float

    def since(self, before: Spent) -> Spent:
        """What has come since then."""
        return Spent(self.all_s - before.all_s, self.kernel_s - before.kernel_s)


def main() -> int:
    """0 if it was measured, 1 if something failed, 2 if it could not begin."""
    options = _parse()
    case = CASES[options.case]
    try:
        Mdacore().need()
        load.build()
        data = machine.durable(options.data)
    except Unavailable as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    print(f"{options.messages} messages; {machine.described(data)}\n\n### {case.name}: {case}")
    try:
        with tempfile.TemporaryDirectory(dir=data, prefix="mdabench-") as folder:
            _print_threads(case, options.messages, Path(folder))
        with tempfile.TemporaryDirectory(dir=data, prefix="mdabench-") as folder:
            _print_calls(case, options.messages, Path(folder))
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000, help="default: 10000")
    parser.add_argument("--case", choices=CASES, default="2k-20s", help="default: 2k-20s")
    parser.add_argument(
        "--data", type=Path, default=machine.DISK, help=f"a folder on the disk (default: {machine.DISK})"
    )
    return parser.parse_args()


# --- CPU time


def _print_threads(case: Case, messages: int, folder: Path) -> None:
    with _loaded(Mdacore(), case, folder) as server:
        before = _spent(server.session)
        rate = _send(server, case, messages)
        after = _spent(server.session)
    nothing = Spent(0.0, 0.0)
    loop = after[server.session].since(before[server.session])
    others = [after[thread].since(before.get(thread, nothing)) for thread in after if thread != server.session]
    print(f"\n{rate:,.0f} messages/s\n\n| CPU µs/message | all | in the kernel |\n| --- | ---: | ---: |")
    for name, spent in (
        ("the event loop's thread", loop),
        ("commits and all other threads", Spent(sum(one.all_s for one in others), sum(one.kernel_s for one in others))),
    ):
        print(f"| {name} | {spent.all_s / messages * 1e6:.0f} | {spent.kernel_s / messages * 1e6:.0f} |")
    print(f"\nThe event loop's thread was busy for {loop.all_s * rate / messages:.0%} of the time.")


def _spent(process: int) -> Mapping[int, Spent]:
    """By thread; the first one, which runs the event loop, has the process's own number."""
    spent = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        running_ns = int((task / "schedstat").read_text().split()[0])
        kernel_ticks = int((task / "stat").read_text().rpartition(")")[2].split()[12])
        spent[int(task.name)] = Spent(running_ns / 1e9, kernel_ticks / machine.TICKS_A_SECOND)
    return spent


# --- calls


def _print_calls(case: Case, messages: int, folder: Path) -> None:
    into = folder / "calls"
    with _loaded(Profiled(into), case, folder) as server:
        _send(server, case, messages)
    calls = _calls(into, messages + WARM_UP)
    print("\n| package | calls/message |\n| --- | ---: |")
    for package, count in sorted(calls.items(), key=lambda row: -row[1]):
        print(f"| {package} | {count:.0f} |")
    print(f"| together | {sum(calls.values()):.0f} |")


def _calls(into: Path, messages: int) -> Mapping[str, float]:
    counts: dict[str, float] = {}
    for file, count in json.loads(into.read_text()):
        if count / messages >= EVERY_MESSAGE:
            package = _package(file)
            counts[package] = counts.get(package, 0.0) + count / messages
    return counts


def _package(file: str) -> str:
    """``mdacore/queue``, ``mdacore_edge_smtp/protocol``, ``gevent``; what is written in C has no file."""
    if file in ("~", ""):
        return "functions in C"
    *_, module = file.replace("<attrs generated methods ", "/src/").replace("/site-packages/", "/src/").split("/src/")
    ours = _OURS.match(module.replace(".", "/"))
    if ours:
        return ours[0]
    return "gevent" if module.startswith("gevent/") else "other libraries"


# --- load


@contextmanager
def _loaded(target: Mdacore, case: Case, folder: Path) -> Iterator[Server]:
    """The target with the first messages behind it."""
    data = folder / "data"
    data.mkdir()
    with running(target, data, environment=slowsync.environment(case.sync_delay_ms)) as server:
        _send(server, case, WARM_UP)
        yield server


def _send(server: Server, case: Case, messages: int) -> float:
    """Messages a second. Raises Failed."""
    outcome = load.run(server.port, case, messages=messages, limit_s=LIMIT_S)
    if outcome.errors:
        raise Failed(f"{server.target.name}: {outcome.first_error}")
    return outcome.rate


if __name__ == "__main__":
    sys.exit(main())
