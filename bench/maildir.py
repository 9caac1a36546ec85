"""How many messages a second come into maildirs: by `relay_maildir`, by the whole service, and by Postfix's virtual(8).

The messages are there before the measurement begins; what is counted are the files in the maildirs, from the first to
the last. Targets alternate A B C A B C. Compare ratios inside one run, never the numbers of two runs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from mdabench import cases, command, load, machine, maildirs, worker
from mdabench.command import Measurement
from mdabench.load import Unavailable
from mdabench.mail import MAILBOXES, address, message
from mdabench.postfix import PostfixTarget, PostfixVirtual
from mdabench.report import Column
from mdabench.results import Measured
from mdabench.rounds import Plan, Ready, ready
from mdabench.server import Failed, Server, Target, running

COLUMNS = (
    Column(measure="rate", title="deliveries/s", has_range=True),
    Column(measure="cpu_us", title="CPU µs/delivery"),
)
CONCURRENCY = 20  # what a relay of mdacore has for each destination unless it is told otherwise, and so has Postfix
LIMIT_S = 60.0
STEP_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Case:
    """How much there is to deliver."""

    name: str
    messages: int = 6000
    size_bytes: int = 2048

    def __str__(self) -> str:
        """What it is, in words."""
        return f"{self.messages} messages of {self.size_bytes} bytes into {MAILBOXES} maildirs, {CONCURRENCY} at once"


CASES = {case.name: case for case in (Case(name="maildir"), Case(name="maildir-50k", messages=3000, size_bytes=50_000))}


class Side:
    """One of those that are compared; each gets a folder of its own."""

    name: str
    keeps: str

    def need(self) -> None:
        """Raise Unavailable, with what to install, if it cannot run here."""
        if util.find_spec("mdacore_relay_maildir") is None:
            raise Unavailable("mdacore is not installed for this Python: start the measurement with bench/run")

    def version(self) -> str:
        """Name and number of what is measured."""
        return f"mdacore-relay-maildir {metadata.version('mdacore-relay-maildir')}"

    def deliver(self, data: Path, mail: Path, case: Case) -> dict[str, float]:
        """Get the messages into maildirs in `mail`; returns the measures. Both folders are empty. Raises Failed."""
        raise NotImplementedError


class Mdacore(Side):
    """`relay_maildir` in a process of its own, without a queue."""

    name = "mdacore"
    keeps = "the file and the directory (attempts of the relay alone, from memory)"

    def deliver(self, data: Path, mail: Path, case: Case) -> dict[str, float]:
        maildirs.make(mail, uid=os.geteuid(), gid=os.getegid())
        want = {
            "kind": "maildir",
            "config": {"path": str(mail), "folder": "{local}"},
            "state": str(data / "state"),
            "message": message(case.size_bytes).decode(),
            "mailboxes": [address(number) for number in range(MAILBOXES)],
            "concurrency": CONCURRENCY,
            "seconds": 0,
            "deliveries": case.messages - MAILBOXES,  # the warm-up, which counts here as well, makes the rest
            "ballast_bytes": 0,
        }
        got = worker.run("relay", want, data=data, limit_s=LIMIT_S)
        rate = maildirs.rate(mail, messages=case.messages, size_bytes=case.size_bytes)
        return {"rate": rate, "cpu_us": got["own_cpu_s"] / got["deliveries"] * 1e6}


class Service(Side):
    """The whole service, which finds the messages in its durable queue and removes them from there."""

    name = "service"
    keeps = "the file and the directory (from the durable queue, logged)"

    def need(self) -> None:
        super().need()
        load.build()

    def version(self) -> str:
        return f"mdacore {metadata.version('mdacore')}"

    def deliver(self, data: Path, mail: Path, case: Case) -> dict[str, float]:
        waits = ['relays.local.kind="blackhole"', "relays.local.concurrency=1", 'relays.local.delay_s="1h"']
        with running(MdacoreRun("accepting", "relay_blackhole", waits), _made(data / "accepting")) as server:
            _send(server, case)
        state = data / "accepting" / "state"
        maildirs.make(mail, uid=os.geteuid(), gid=os.getegid())
        delivers = ['relays.local.kind="maildir"', f'relays.local.path="{mail}"', 'relays.local.folder="{local}"']
        with running(MdacoreRun("delivering", "relay_maildir", delivers, state), _made(data / "delivering")) as server:
            cpu_s = _wait_until_delivered(server, mail, case)
        return {"rate": maildirs.rate(mail, messages=case.messages, size_bytes=case.size_bytes), "cpu_us": cpu_s * 1e6}


class MdacoreRun(Target):
    """`mdacore run` with a file of its own, whose one relay is `local`."""

    keeps = "the message, synced"

    def __init__(self, name: str, plugin: str, settings: list[str], state: Path | None = None) -> None:
        self.name = name
        self._plugin = plugin
        self._settings = settings
        self._state = state

    def command(self, data: Path, port: int) -> list[str]:
        config = data / "mda.toml"
        config.write_text(
            f'plugins = ["edge_smtp", "storage_shelve", "{self._plugin}"]\n'
            '[service]\ngrace_s = "1s"\n'
            f'[edges.mx]\nkind = "smtp"\nlisten = ["127.0.0.1:{port}"]\ndomains = ["example.test"]\n'
            "max_messages = 1000000\n"  # in one connection; the load generator needs no more than a few
            '[queues.main]\nstorage = "spool"\nrelay = "local"\nretry = "1s"\n[storages.spool]\nkind = "shelve"\n'
        )
        words = [sys.executable, "-m", "mdacore", "run", "--config", str(config)]
        words += ["--state", str(self._state or data / "state")]
        return [*words, *(word for setting in self._settings for word in ("--set", setting))]


class Postfix(Side):
    """A private Postfix, which finds the messages in its queue and removes them from there."""

    name = "postfix"
    keeps = "the file (from the durable queue, logged)"

    def need(self) -> None:
        PostfixTarget().need()
        load.build()

    def version(self) -> str:
        return PostfixTarget().version()

    def deliver(self, data: Path, mail: Path, case: Case) -> dict[str, float]:
        with running(PostfixVirtual(mail), data) as server:
            _send(server, case)
            machine.wait_for_rest(server.cpu_s, limit_s=LIMIT_S)
            before_s = server.cpu_s()
            PostfixVirtual.release(data)
            cpu_s = _wait_until_delivered(server, mail, case) - before_s / case.messages
        rate = maildirs.rate(mail, messages=case.messages, size_bytes=case.size_bytes)
        return {"rate": rate, "cpu_us": cpu_s * 1e6}


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o755)
    return folder


def _send(server: Server, case: Case) -> None:
    """All messages over SMTP. Raises Failed if one is not accepted."""
    what = cases.Case(name="fill", size_bytes=case.size_bytes)
    outcome = load.run(server.port, what, messages=case.messages, limit_s=LIMIT_S)
    if outcome.errors:
        raise Failed(f"{outcome.errors} errors, the first: {outcome.first_error}")


def _wait_until_delivered(server: Server, mail: Path, case: Case) -> float:
    """Until all files are there and the server is at rest; returns its CPU seconds for each since it was started."""
    end = time.monotonic() + LIMIT_S
    while maildirs.count(mail) < case.messages:
        server.must_run()
        if time.monotonic() > end:
            raise Failed(f"{maildirs.count(mail)} of {case.messages} messages are in the maildirs after {LIMIT_S:g} s")
        time.sleep(STEP_S)
    machine.wait_for_rest(server.cpu_s, limit_s=LIMIT_S)
    return server.cpu_s() / case.messages


def measure(alive: Ready[Side], case: Case, plan: Plan[Side, Case]) -> Measured:
    """One backlog, from the first file to the last."""
    is_at_rest = machine.wait_for_rest(machine.machine_cpu_s, limit_s=plan.rest_s)
    data, mail = (machine.place(alive.data.parent, f"{case.name}-{what}") for what in ("data", "mail"))
    values = alive.target.deliver(data, mail, case)
    values |= {"messages": case.messages}
    return Measured(values=values, remarks=() if is_at_rest else ("the machine was not at rest before it",))


TARGETS: dict[str, Callable[[], Side]] = {"mdacore": Mdacore, "service": Service, "postfix": Postfix}
MAILDIR = Measurement(
    name="maildir",
    about=__doc__,
    targets=TARGETS,
    cases=CASES,
    usual=["maildir"],
    seconds=0.0,
    keeps="synced for each message",
    columns=COLUMNS,
    peers=("postfix",),
    live=ready,
    measure=measure,
)

if __name__ == "__main__":
    sys.exit(command.run(MAILDIR))
