"""SmtpEdge keeps every rule of the edge contract, as Python's own client sees it."""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Sequence

from mdacore import Edge, EdgeContext, Reply
from mdacore.testing.edge_contract import EdgeContract
from mdacore_edge_smtp import SmtpConfig, SmtpEdge


class Client:
    """A connection by smtplib."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._smtp = smtplib.SMTP(host, int(port), "client.example.test", timeout=60)

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> Sequence[Reply]:
        smtp = self._smtp
        try:
            smtp.ehlo_or_helo_if_needed()
            for code, text in (smtp.mail(sender), *map(smtp.rcpt, recipients)):
                if code >= 400:
                    smtp.rset()
                    return [Reply.parse(f"{code} {text.decode()}")]
            code, text = smtp.data(message)
        except smtplib.SMTPResponseException as refused:
            code, text = refused.smtp_code, refused.smtp_error
        return [Reply.parse(f"{code} {text.decode() if isinstance(text, bytes) else text}")]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._smtp.quit()
        self._smtp.close()


class TestSmtpEdge(EdgeContract):
    def make_edge(self, context: EdgeContext, addresses: tuple[str, ...]) -> Edge:
        return SmtpEdge(SmtpConfig(listen=addresses, domains=("example.test",)), context)

    def connect(self, address: str) -> Client:
        return Client(address)
