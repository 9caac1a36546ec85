"""The servers under test, one class each; a new one is a class here, or a module and a line in TARGETS."""

from __future__ import annotations

import sys
from importlib import metadata, util
from pathlib import Path

from mdabench.load import BENCH, Unavailable
from mdabench.postfix import Postfix
from mdabench.server import Target
from mdabench.slimta import Slimta


class Bare(Target):
    """`bare.py`, which says yes to everything."""

    name = "bare"
    keeps = "nothing"

    def version(self) -> str:
        return f"gevent {metadata.version('gevent')}"

    def command(self, data: Path, port: int) -> list[str]:  # noqa: ARG002 - it keeps nothing
        return [sys.executable, str(BENCH / "bare.py"), str(port)]


class Mdacore(Target):
    """The service of this repository with its embedded storage and a relay that drops, logging at info as JSON."""

    name = "mdacore"
    keeps = "the message, synced"

    def need(self) -> None:
        if util.find_spec("mdacore") is None:
            raise Unavailable("mdacore is not installed for this Python: start the measurement with bench/run")

    def version(self) -> str:
        return f"mdacore {metadata.version('mdacore')}"

    def command(self, data: Path, port: int) -> list[str]:
        plugins = "edge_smtp,storage_shelve,relay_blackhole"
        settings = [f'edges.smtp.listen=["127.0.0.1:{port}"]', 'edges.smtp.domains=["example.test"]']
        settings.append("edges.smtp.max_messages=1000000")  # in one connection; the others have no such limit
        command = [sys.executable, "-m", "mdacore", "run", "--plugins", plugins, "--state", str(data / "state")]
        return [*command, *(word for setting in settings for word in ("--set", setting))]


TARGETS: dict[str, type[Target]] = {target.name: target for target in (Mdacore, Postfix, Slimta, Bare)}
