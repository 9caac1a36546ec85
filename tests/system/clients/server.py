"""The server that the clients talk to: one `mdacore run` with an edge of each kind, and what has arrived there.

Invariant: `below` takes off exactly the fields that it is told, so what it returns is the message octet for octet.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import attrs

from ..conftest import Service
from .programs import filled

HOSTNAME = "mx.example.test"
USER, PASSWORD = "alice@example.test", "correct horse & battery"
SITE = Path(__file__).parent / "site"
OURS = ("Return-Path", "Delivered-To", "Received")
"""The fields that stand above a message, the edge's below the relay's."""
RECIPIENTS = """
@example.test OK
@grüße.test OK
refused@example.test 550 5.1.1 No such user
"""


@attrs.define
class Server:
    """One service and the addresses of its edges."""

    service: Service

    @property
    def folder(self) -> Path:
        return self.service.folder

    @property
    def certificate(self) -> Path:
        """It is its own authority, for `HOSTNAME` and for 127.0.0.1."""
        return self.folder / "mx.crt"

    def start(self) -> None:
        """Start and wait until all edges accept."""
        make_certificate(self.folder)
        (self.folder / "recipients").write_text(RECIPIENTS)
        config = filled("mda.toml", folder=self.folder, hostname=HOSTNAME, user=USER, password=PASSWORD)
        (self.folder / "mda.toml").write_text(config)
        self.service.start()

    def address(self, edge: str) -> str:
        """Where the edge of this name listens: ``"127.0.0.1:2525"`` or ``"unix:/path"``."""
        (started,) = self.service.events("service.started")
        (address,) = started["addresses"][f"edges.{edge}"]
        return address

    def port(self, edge: str) -> int:
        return int(self.address(edge).rpartition(":")[2])

    def arrived(self, user: str, count: int = 1) -> list[bytes]:
        """The files in this user's maildir, once there are as many."""
        new = self.service.state / "maildirs" / user / "new"
        self.service.wait_until(lambda: new.is_dir() and len(list(new.iterdir())) >= count, f"{user} has too few")
        files = [path.read_bytes() for path in new.iterdir()]
        assert count == len(files)
        return files

    def has_nothing_for(self, user: str) -> bool:
        return not list((self.service.state / "maildirs").glob(f"{user}/new/*"))

    def seen(self, address: str) -> Seen:
        """How the one message to this address came."""
        (seen,) = self.all_seen(address, 1)
        return seen

    def all_seen(self, address: str, count: int) -> list[Seen]:
        """How the messages to this address came, once there are as many."""

        def found() -> list[Seen]:
            seen = [Seen(event) for event in self.service.events("witness.seen")]
            return [one for one in seen if address in one.addresses]

        self.service.wait_until(lambda: len(found()) >= count, f"too few seen for {address}")
        return found()


@attrs.frozen
class Seen:
    """What the witness has logged about a message."""

    event: dict[str, object]

    @property
    def addresses(self) -> list[str]:
        return [recipient["address"] for recipient in self.event["recipients"]]

    @property
    def protocol(self) -> str:
        """RFC 3848's word for how it came: ``"ESMTPSA"``."""
        return self.event["client"]["protocol"]

    @property
    def identity(self) -> str:
        return self.event["client"]["identity"]


def below(content: bytes, *fields: str) -> bytes:
    """What stands below these header fields, which must be the first ones, in this order."""
    for field in fields:
        match = re.match(rb"%s:[^\n]*\n(?:[ \t][^\n]*\n)*" % field.encode(), content)
        assert match is not None, (field, content[:400])
        content = content[match.end() :]
    return content


def make_certificate(folder: Path) -> None:
    """``mx.crt`` and ``mx.key``."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(folder / "mx.key"), "-out", str(folder / "mx.crt"), "-days", "2"]
    command += ["-subj", f"/CN={HOSTNAME}", "-addext", f"subjectAltName=DNS:{HOSTNAME},IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)


def install_witness(folder: Path) -> Path:
    """A copy of the plugin where the service finds it with PYTHONPATH."""
    return Path(shutil.copytree(SITE, folder / "site", ignore=shutil.ignore_patterns("__pycache__")))
