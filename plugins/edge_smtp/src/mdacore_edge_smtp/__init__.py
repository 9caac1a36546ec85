"""The SMTP edge: accepts mail over SMTP (RFC 5321) and LMTP (RFC 2033)."""

from collections.abc import Iterable

from mdacore import EdgeContext, Provider, hookimpl
from mdacore_edge_smtp.checks import check
from mdacore_edge_smtp.config import LmtpConfig, SmtpConfig
from mdacore_edge_smtp.edge import SmtpEdge

__all__ = ["LmtpConfig", "SmtpConfig", "SmtpEdge", "mdacore_edges"]


@hookimpl
def mdacore_edges() -> Iterable[Provider[SmtpConfig, EdgeContext, SmtpEdge]]:
    """The kinds of edges in here: ``smtp`` and ``lmtp``."""
    yield Provider(kind="smtp", config=SmtpConfig, build=SmtpEdge, api=1, default=True, check=check)
    yield Provider(kind="lmtp", config=LmtpConfig, build=SmtpEdge, api=1, check=check)
