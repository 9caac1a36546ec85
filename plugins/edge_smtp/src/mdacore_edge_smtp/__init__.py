"""The SMTP edge: accepts mail over SMTP (RFC 5321)."""

from collections.abc import Iterable

from mdacore import EdgeContext, Provider, hookimpl
from mdacore_edge_smtp.config import SmtpConfig, check
from mdacore_edge_smtp.edge import SmtpEdge

__all__ = ["SmtpConfig", "SmtpEdge", "mdacore_edges"]


@hookimpl
def mdacore_edges() -> Iterable[Provider[SmtpConfig, EdgeContext, SmtpEdge]]:
    """The kinds of edges in here: ``smtp``."""
    yield Provider(kind="smtp", config=SmtpConfig, build=SmtpEdge, api=1, default=True, check=check)
