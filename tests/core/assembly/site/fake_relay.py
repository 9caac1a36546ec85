"""A plugin with one kind of relay, `sink`, that takes everything."""

import attrs
from fake_parts import Inert

from mdacore import API_VERSION, Provider, Reply, hookimpl


@attrs.frozen(kw_only=True)
class Config:
    """Nothing that matters."""

    path: str = "mail"


class Sink(Inert):
    """Takes everything."""

    def attempt(self, envelope, attempt):
        return {recipient.number: Reply(code=250) for recipient in envelope.recipients}

    def destination(self, envelope):
        return ""


@hookimpl
def mdacore_relays():
    """One kind."""
    yield Provider(kind="sink", config=Config, build=Sink, api=API_VERSION)
