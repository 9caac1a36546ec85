"""Exim, the client that sends with BDAT wherever it is offered (RFC 3030)."""

from __future__ import annotations

import os
import re

import pytest

from .exim import Exim
from .messages import ALL, DOTS, PLAIN
from .programs import EXIM
from .server import OURS, USER, below

pytestmark = [
    pytest.mark.needs("openssl", EXIM),
    pytest.mark.skipif(os.geteuid() != 0, reason="Exim has to be started by root"),
]

TRACE = (*OURS, "Received")
"""Ours, and Exim's own."""


@pytest.fixture
def exim(server, new_folder):
    """Make one that sends in clear, or with TLS and AUTH."""
    return lambda *, is_secure=False: Exim(new_folder("exim"), server, is_secure=is_secure)


class TestChunks:
    @pytest.mark.parametrize("message", ALL.values(), ids=ALL)
    def test_messages_arrive_octet_for_octet(self, server, exim, user, message):
        log = exim().send(message, f"{user}@example.test")

        # In Exim's log K is CHUNKING and L is PIPELINING.
        assert re.search(rf"=> {user}@example.test .* L K C=\"250", log), log
        assert message == below(server.arrived(user)[0], *TRACE)

    def test_over_tls_with_auth(self, server, exim, user):
        log = exim(is_secure=True).send(DOTS, f"{user}@example.test")

        assert re.search(rf"=> {user}@example.test .* A=plain .* K ", log), log
        assert DOTS == below(server.arrived(user)[0], *TRACE)
        seen = server.seen(f"{user}@example.test")
        assert ("ESMTPSA", USER) == (seen.protocol, seen.identity)

    def test_one_of_three_recipients_is_refused_and_the_others_get_it(self, server, exim, user):
        """Exim sends RCPT and BDAT in one go: the refusal of one does not end the transaction."""
        log = exim().send(PLAIN, f"{user}@example.test", "refused@example.test", f"{user}b@example.test")

        assert re.search(r"\*\* refused@example.test .* 550 5.1.1 No such user", log), log
        assert PLAIN == below(server.arrived(user)[0], *TRACE)
        assert PLAIN == below(server.arrived(f"{user}b")[0], *TRACE)

    def test_the_only_recipient_is_refused_and_bounces_with_his_own_reply(self, exim):
        """What Exim has sent behind the RCPT cannot be taken, and does not turn the refusal into another one."""
        log = exim().send(PLAIN, "refused@example.test")

        assert re.search(r"\*\* refused@example.test .* 550 5.1.1 No such user", log), log
