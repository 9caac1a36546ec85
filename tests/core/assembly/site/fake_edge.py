"""A plugin with one kind of edge, `fake`, that has a key of every type."""

import errno
import sys
from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import ge
from fake_parts import Inert

from mdacore import API_VERSION, Problem, Provider, Seconds, SizeBytes, hookimpl


@attrs.frozen(kw_only=True)
class Tls:
    """A table within a table."""

    certificate: Path = attrs.field(metadata={"help": "The certificate chain."})
    mode: Literal["off", "starttls", "implicit"] = "starttls"


@attrs.frozen(kw_only=True)
class Config:
    """The keys of the edge."""

    listen: tuple[str, ...] = attrs.field(default=("127.0.0.1:2525",), metadata={"help": "Where it listens."})
    listen_mode: str = attrs.field(default="0660", metadata={"help": "Who may connect to its sockets: no address."})
    domains: tuple[str, ...] = ("localhost",)
    timeout_s: Seconds = attrs.field(default=Seconds(300.0), validator=ge(1))
    max_size: SizeBytes = attrs.field(default=SizeBytes(25_000_000))
    received: bool = True
    max_sessions: int = attrs.field(default=1000)
    banner: str = ""
    password: str | None = attrs.field(default=None, repr=False)
    tls: Tls | None = attrs.field(default=None, metadata={"help": "Encryption; left out there is none."})

    @max_sessions.validator
    def _check_max_sessions(self, _, value):
        if not 1 <= value <= 10_000:
            raise ValueError(f"{value} is not between 1 and 10000")


class Edge(Inert):
    """Binds nothing. Its banner says how it is to behave."""

    def __init__(self, config, context):
        if config.banner == "impossible":
            raise ValueError("an edge cannot be impossible")
        super().__init__(config, context)

    @property
    def addresses(self):
        return self.config.listen

    def bind(self):
        if self.config.banner == "unbindable":
            raise OSError(errno.EADDRINUSE, "Address already in use")
        if self.config.banner == "tell":
            sys.stderr.write("telling\n")
            sys.stderr.flush()


def check(config, context):
    """The certificate must be there."""
    if config.tls and not config.tls.certificate.exists():
        yield Problem("tls.certificate", f"{config.tls.certificate} does not exist")


@hookimpl
def mdacore_edges():
    """One kind, the default."""
    yield Provider(kind="fake", config=Config, build=Edge, api=API_VERSION, default=True, check=check)
