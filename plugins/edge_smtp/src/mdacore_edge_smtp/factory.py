"""ConnectionFactory: from the configuration to everything that one more connection needs."""

from __future__ import annotations

from gevent import socket

from mdacore import Client, EdgeContext
from mdacore_edge_smtp.admission import Admission, Allowance
from mdacore_edge_smtp.certificates import Certificates, pairs_of
from mdacore_edge_smtp.config import SmtpConfig
from mdacore_edge_smtp.connection import Connection, Opening, Slowness
from mdacore_edge_smtp.memory import MemoryBudget
from mdacore_edge_smtp.networks import Networks
from mdacore_edge_smtp.outbox import Outbox
from mdacore_edge_smtp.patience import Patience, Timeouts
from mdacore_edge_smtp.protocol import Limits, ServerProtocol
from mdacore_edge_smtp.session import SmtpSession
from mdacore_edge_smtp.session_ids import SessionIds
from mdacore_edge_smtp.session_wiring import wiring
from mdacore_edge_smtp.transport import Transport


class ConnectionFactory:
    """Makes connections that share one configuration. What is the same for all of them is made once.

    Attributes:
        budget: what all messages on their way may hold in memory.
    """

    def __init__(
        self,
        config: SmtpConfig,
        context: EdgeContext,
        *,
        certificates: Certificates | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._context = context
        self._edge_name = context.instance.rpartition(".")[2]
        self._ids = SessionIds(context.clock)
        self._certificates = certificates or Certificates(pairs_of(config.tls, context), config.tls)
        self.budget = MemoryBudget(config.max_inflight_bytes)
        self._wiring = wiring(
            config,
            context,
            is_lmtp=config.is_lmtp,
            has_starttls=config.tls.is_on,
            budget=self.budget,
            admission=admission or new_admission(config),
        )
        self._limits = _limits(config, self._wiring.max_recipients)
        self._first_offer = self._wiring.offers.of(is_tls=False, may_xclient=False)
        self._openings = {
            is_tls: Opening(choose_context=self._certificates.choose, is_tls=is_tls, greet_delay_s=config.greet_delay_s)
            for is_tls in (False, True)
        }
        self._outbox = Outbox()
        self._slowness = Slowness(after_errors=config.max_errors // 2, delay_s=config.error_delay_s)
        self.timeouts = _timeouts(config)

    def new(self, sock: socket.socket, ip: str, *, is_tls: bool = False) -> Connection:
        """A connection for an accepted socket.

        Args:
            ip: the client's address, ``""`` for a UNIX socket.
            is_tls: a handshake comes first.
        """
        client = Client(ip=ip, edge=self._edge_name, session_id=self._ids.next())
        protocol = ServerProtocol(limits=self._limits, offered=self._first_offer, is_lmtp=self._wiring.is_lmtp)
        return Connection(
            Transport(sock),
            opening=self._openings[is_tls],
            protocol=protocol,
            session=SmtpSession(self._wiring, protocol, client),
            patience=Patience(self.timeouts, self._context.clock.monotonic()),
            slowness=self._slowness,
            outbox=self._outbox,
            clock=self._context.clock,
            log=self._context.log,
        )


def new_admission(config: SmtpConfig) -> Admission:
    """Who may open a session, as configured."""
    return Admission(
        Allowance(
            max_sessions=config.max_sessions,
            max_per_address=config.max_sessions_per_address,
            max_per_network=config.max_sessions_per_network,
            max_new_a_minute=config.max_new_sessions_a_minute,
            max_auth_failures_an_hour=config.max_auth_failures_an_hour,
            trusted=Networks(config.trusted_networks),
        )
    )


def _limits(config: SmtpConfig, max_recipients: int) -> Limits:
    return Limits(
        max_line_bytes=config.max_line_bytes,
        max_message_size_bytes=config.max_message_size_bytes,
        max_excess_bytes=config.max_excess_bytes,
        max_recipients=max_recipients,
        max_excess_recipients=config.max_recipients,
        max_errors=config.max_errors,
        max_idle_commands=config.max_idle_commands,
        max_messages=config.max_messages,
        max_auth_failures=config.max_auth_failures,
        line_ends=config.line_ends,
        is_strict_sync=config.strict_synchronization,
    )


def _timeouts(config: SmtpConfig) -> Timeouts:
    return Timeouts(
        command_timeout_s=config.command_timeout_s,
        data_timeout_s=config.data_timeout_s,
        data_min_rate_bytes=config.data_min_rate_bytes,
        send_timeout_s=config.send_timeout_s,
        session_timeout_s=config.session_timeout_s,
        handshake_timeout_s=config.tls.handshake_timeout_s,
    )
