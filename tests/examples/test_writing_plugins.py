"""The page that teaches to write plugins: every file is made, every command run, every line of output compared.

How the page is read: a block of Python or TOML is a file, whose name is its first line. A block of ``sh`` is run in the
folder where the one before has ended; ``mdacore run`` alone in a block is left running. ``text`` is all that the last
commands have put out, ``log`` are lines of the running service's log, in their order. "Ctrl-C" in a sentence ends the
service. ``…`` stands for anything, and alone on a line for any lines.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/writing-plugins.md").read_text()
STEP = re.compile(r"^```(?P<kind>\w+)\n(?P<block>.*?)^```$|Stop the service with (?P<end>Ctrl-C)", re.M | re.S)
PORT = "2525"
NO_FILE = {"MDACORE__EDGES__SMTP__LISTEN": '["127.0.0.1:0"]'}
FOR_PEOPLE = {"MDACORE__LOG__STYLE": "console"}  # as on a terminal
MAKE_ENVIRONMENT = "python3 -m venv .venv\n"
PATIENCE_S = 300.0


@attrs.define
class Reader:
    """Somebody with two terminals who does what the page says, on whatever port is free."""

    new_environment: Any
    folder: Path
    stack: contextlib.ExitStack
    scratch: Path
    environment: Any = None
    output: str = ""
    service: Any = None
    services: int = 0
    lines_seen: int = 0

    def save(self, block: str) -> None:
        name = re.match(r"# ([\w.]+)\n", block)
        assert name, "the first line of a file is its name"
        (self.folder / name[1]).write_text(block.replace(f"127.0.0.1:{PORT}", "127.0.0.1:0"))

    def type(self, block: str) -> None:
        if block.startswith("mdacore run ") and block.count("\n") == 1:
            self._serve(shlex.split(block))
            return
        if MAKE_ENVIRONMENT in block:  # offline, with the libraries of the tests
            self.environment = self.new_environment(self.folder / ".venv")
            block = block.replace(MAKE_ENVIRONMENT, "")
        if "send.py" in block:
            self._tell_port(self.folder / "send.py")
        place = self.scratch / "folder"
        variables = self.environment.variables() if self.environment else dict(os.environ)
        done = subprocess.run(
            ["bash", "-ec", f"{block}\npwd > {place}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=variables | {"MDACORE": str(ROOT)},
            timeout=PATIENCE_S,
        )
        assert 0 == done.returncode, done.stdout
        self.output, self.folder = done.stdout, Path(place.read_text().strip())

    def compare(self, block: str) -> None:
        """All of the output is what the page says."""
        pattern = "".join(r"(?:.*\n)*" if line == "…" else f"{_pattern(line)}\n" for line in block.splitlines())
        if not re.fullmatch(pattern, self.output):
            raise AssertionError(f"instead of\n{block}came\n{self.output}")

    def find(self, block: str) -> None:
        """The log has these lines, in their order, after those that were found before."""
        for line in block.splitlines():
            self.lines_seen = self.service.wait_for_line(
                _pattern(line.replace(f"127.0.0.1:{PORT}", "127.0.0.1:…")), after=self.lines_seen
            )

    def end(self) -> None:
        assert 0 == self.service.end(signal.SIGINT)
        self.service = None

    def _serve(self, command: list[str]) -> None:
        assert self.service is None, "the page has left a service running"
        self.services, self.lines_seen = self.services + 1, 0
        variables = FOR_PEOPLE | ({} if "--config" in command else NO_FILE)
        log = self.scratch / f"log{self.services}"
        self.service = self.stack.enter_context(
            self.environment.serving(*command, log=log, cwd=self.folder, **variables)
        )

    def _tell_port(self, client: Path) -> None:
        text, count = re.subn(r'(?<="127\.0\.0\.1", )\d+', str(self.service.port()), client.read_text())
        assert 1 == count
        client.write_text(text)


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.split("…")))


def test_who_follows_the_page_gets_what_it_says(new_environment, tmp_path):
    (tmp_path / "home").mkdir()
    with contextlib.ExitStack() as stack:
        reader = Reader(new_environment, tmp_path / "home", stack, tmp_path)
        do = {"python": reader.save, "toml": reader.save, "sh": reader.type, "text": reader.compare, "log": reader.find}
        for step in STEP.finditer(PAGE):
            try:
                if step["end"]:
                    reader.end()
                else:
                    do[step["kind"]](step["block"])
            except (AssertionError, subprocess.TimeoutExpired) as error:
                raise AssertionError(f"docs/writing-plugins.md:{_line_of(step)}: {error}") from error
        assert reader.service is None, "the page has left a service running"


def test_every_block_of_the_page_is_read():
    """A block that is opened otherwise would be left out, and so would an end that is said in other words."""
    blocks = [line for line in PAGE.splitlines() if line.startswith("```") and line != "```"]

    assert {"```python", "```toml", "```sh", "```text", "```log"} == set(blocks)
    assert len(blocks) == len([step for step in STEP.finditer(PAGE) if step["kind"]])
    assert PAGE.count("Ctrl-C") == len([step for step in STEP.finditer(PAGE) if step["end"]])


def _line_of(step: re.Match[str]) -> int:
    return PAGE.count("\n", 0, step.start()) + 1
