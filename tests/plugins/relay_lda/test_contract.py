"""LdaRelay keeps every rule of the relay contract, over a program that really delivers: a shell script into mboxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mdacore import Context, Relay
from mdacore.testing.relay_contract import DeliveringRelayContract
from mdacore_relay_lda import PipeConfig, kinds

SCRIPT = """#!/bin/sh
set -e
exec 3>$(mktemp "$1/$2.XXXXXXXX.part")
cat >&3
mv "$(readlink /proc/$$/fd/3)" "$(mktemp -d "$1/$2.XXXXXXXX")/message"
"""


class TestPipe(DeliveringRelayContract):
    @pytest.fixture(autouse=True)
    def program(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "mailboxes"
        self.folder.mkdir()
        self.script = tmp_path / "deliver"
        self.script.write_text(SCRIPT)
        self.script.chmod(0o755)

    def make_relay(self, context: Context) -> Relay:
        command = (str(self.script), str(self.folder), "{recipient}")
        return kinds.pipe(PipeConfig(command=command), context)

    def delivered(self, context: Context, address: str) -> Sequence[bytes]:
        return [file.read_bytes() for file in self.folder.glob(f"{address}.*/message")]
