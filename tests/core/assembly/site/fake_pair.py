"""A plugin with two kinds of relay, of which none is the default."""

from fake_relay import Config, Sink

from mdacore import API_VERSION, Provider, hookimpl


@hookimpl
def mdacore_relays():
    """Two kinds."""
    yield Provider(kind="left", config=Config, build=Sink, api=API_VERSION)
    yield Provider(kind="right", config=Config, build=Sink, api=API_VERSION)
