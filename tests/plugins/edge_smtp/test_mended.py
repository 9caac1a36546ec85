"""What the protocol once did otherwise than the reference: the shortest input for each."""

from __future__ import annotations

import pytest

from .protocol_proof import observe
from .reference import Rules, Scenario, expected

HELLO = b"EHLO c\r\n"
TO_RCPT = HELLO + b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
LENIENT = Rules(max_line_bytes=100, is_strict_sync=False)

MENDED = {
    "letters_of_unicode_are_no_ascii_in_another_case": HELLO + "MAIL FROM:<a@b> SMTPUTF8 RET=HDR\u017f\r\n".encode(),
    "an_address_literal_holds_no_at": HELLO + b"MAIL FROM:<a@[x>@y]>\r\n",
    "bdat_with_a_nul_ends_the_connection": TO_RCPT + b"BDAT 6\0\r\nQUIT\r\n",
    "bdat_with_a_cr_ends_the_connection": TO_RCPT + b"BDAT 6\r \r\nQUIT\r\n",
    "bdat_with_a_bare_lf_ends_the_connection": TO_RCPT + b"BDAT 6\nQUIT\r\n",
    "bdat_with_a_tab_ends_the_connection": TO_RCPT + b"BDAT\t6\r\nQUIT\r\n",
    "a_word_that_begins_with_starttls_is_unknown": HELLO + b"STARTTLSX\r\nNOOP\r\n",
    "a_source_route_holds_no_label_that_a_domain_may_not": HELLO + b"MAIL FROM:<@x-:a@b>\r\n",
    "what_is_skipped_is_no_auth": HELLO + b"NOOP\nAUTH " + b"x" * 100,
    "whole_groups_of_base64_have_no_padding": HELLO + b"AUTH PLAIN AGEAYmJi=\r\n",
}


@pytest.mark.parametrize("octets", MENDED.values(), ids=MENDED.keys())
def test_what_was_mended_stays_so(octets):
    scenario = Scenario(pieces=(HELLO, octets[len(HELLO) :]), rules=LENIENT)

    assert "" == expected(scenario).difference(observe(scenario))


@pytest.mark.parametrize("line", [b"DATA\r\n", b"BDAT 0\r\n"])
def test_what_moves_no_mail_ends_in_421(line):
    """The caller refuses each DATA, and takes each chunk."""
    scenario = Scenario(
        pieces=(TO_RCPT, line * 9), choices=(4,) if line == b"DATA\r\n" else (), moody_about="DataCommand"
    )

    assert "" == expected(scenario).difference(observe(scenario))
    assert "closed" == observe(scenario).end
