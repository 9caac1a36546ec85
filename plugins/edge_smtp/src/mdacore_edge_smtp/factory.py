"""ConnectionFactory: from the configuration to everything that one more connection needs."""

from __future__ import annotations

import ipaddress

from gevent import socket

from mdacore import Client, EdgeContext
from mdacore_edge_smtp.config import SmtpConfig
from mdacore_edge_smtp.connection import Connection, Slowness
from mdacore_edge_smtp.outbox import Outbox
from mdacore_edge_smtp.patience import Patience, Timeouts
from mdacore_edge_smtp.protocol import SMTP_EXTENSIONS, Limits, ServerProtocol, offer
from mdacore_edge_smtp.session import SmtpSession
from mdacore_edge_smtp.session_ids import SessionIds
from mdacore_edge_smtp.session_wiring import wiring


class ConnectionFactory:
    """Makes connections that share one configuration. What is the same for all of them is made once."""

    def __init__(self, config: SmtpConfig, context: EdgeContext) -> None:
        self._context = context
        self._edge_name = context.instance.rpartition(".")[2]
        self._ids = SessionIds(context.clock)
        self._limits = _limits(config)
        self._offered = offer(SMTP_EXTENSIONS, max_message_size_bytes=config.max_message_size_bytes)
        self._wiring = wiring(config, context)
        self._outbox = Outbox()
        self._slowness = Slowness(after_errors=config.max_errors // 2, delay_s=config.error_delay_s)
        self.timeouts = _timeouts(config)

    def new(self, sock: socket.socket, peer: object) -> Connection:
        """A connection for an accepted socket; `peer` is its address as accept gave it."""
        client = Client(ip=ip_of(peer), edge=self._edge_name, session_id=self._ids.next())
        protocol = ServerProtocol(limits=self._limits, offered=self._offered)
        return Connection(
            sock,
            protocol=protocol,
            session=SmtpSession(self._wiring, protocol, client),
            patience=Patience(self.timeouts, self._context.clock.monotonic()),
            slowness=self._slowness,
            outbox=self._outbox,
            clock=self._context.clock,
            log=self._context.log,
        )


def ip_of(peer: object) -> str:
    """A peer's IP address as text, without a scope, IPv4 as IPv4 on a socket for both; ``""`` for a UNIX socket."""
    if not isinstance(peer, tuple):
        return ""
    host = str(peer[0])
    if ":" not in host:
        return host
    ip = ipaddress.IPv6Address(host.partition("%")[0])
    return str(ip.ipv4_mapped or ip)


def _limits(config: SmtpConfig) -> Limits:
    return Limits(
        max_line_bytes=config.max_line_bytes,
        max_message_size_bytes=config.max_message_size_bytes,
        max_excess_bytes=config.max_excess_bytes,
        max_recipients=config.max_recipients,
        max_errors=config.max_errors,
        max_idle_commands=config.max_idle_commands,
    )


def _timeouts(config: SmtpConfig) -> Timeouts:
    return Timeouts(
        command_timeout_s=config.command_timeout_s,
        data_timeout_s=config.data_timeout_s,
        data_min_rate_bytes=config.data_min_rate_bytes,
        send_timeout_s=config.send_timeout_s,
        session_timeout_s=config.session_timeout_s,
    )
