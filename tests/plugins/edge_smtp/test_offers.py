"""What a session is offered, by its security and its peer."""

from __future__ import annotations

from itertools import product

import pytest

from mdacore_edge_smtp import SmtpConfig
from mdacore_edge_smtp.offers import Offers
from mdacore_edge_smtp.protocol import Offer


def offer_of(
    *, is_tls=False, may_xclient=False, is_replaced=False, has_tls=False, has_auth=False, has_dsn=True, **config
) -> Offer:
    offers = Offers(
        config=SmtpConfig(**config), max_recipients=1000, has_tls=has_tls, has_auth=has_auth, has_dsn=has_dsn
    )
    return offers.of(is_tls=is_tls, may_xclient=may_xclient, is_replaced=is_replaced)


def keywords(offer: Offer) -> list[str]:
    return [line.split(" ")[0] for line in offer.lines]


class TestAlways:
    def test_what_needs_nothing_is_offered_to_everybody(self):
        basic = ["PIPELINING", "SIZE", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN", "LIMITS"]

        assert basic == keywords(offer_of())
        assert "LIMITS RCPTMAX=1000 MAILMAX=7" in offer_of(max_messages=7).lines


class TestTls:
    @pytest.mark.parametrize(("has_tls", "is_tls"), [*product((False, True), repeat=2)])
    def test_it_is_offered_in_clear_where_there_is_a_certificate(self, has_tls, is_tls):
        assert (has_tls and not is_tls) is ("STARTTLS" in keywords(offer_of(has_tls=has_tls, is_tls=is_tls)))

    def test_under_tls_it_is_answered_that_there_is_tls_already(self):
        assert 503 == offer_of(is_tls=True).withheld[b"STARTTLS"].code

    @pytest.mark.parametrize(
        ("is_tls", "text"), [(False, "TLS would not be the client's"), (True, "TLS is active already")]
    )
    def test_to_who_speaks_for_another_it_is_not_offered(self, is_tls, text):
        offer = offer_of(has_tls=True, is_tls=is_tls, is_replaced=True)

        assert "STARTTLS" not in keywords(offer)
        assert (503, text) == (offer.withheld[b"STARTTLS"].code, offer.withheld[b"STARTTLS"].text)

    def test_without_a_certificate_it_does_not_exist(self):
        assert b"STARTTLS" not in {*offer_of(is_replaced=True).verbs, *offer_of(is_replaced=True).withheld}


class TestDsn:
    def test_where_nobody_can_send_a_notice_none_is_promised(self):
        assert "DSN" not in keywords(offer_of(has_dsn=False))


class TestAuth:
    @pytest.mark.parametrize(("has_auth", "is_tls", "in_clear"), [*product((False, True), repeat=3)])
    def test_case_046_it_is_offered_where_somebody_answers_and_nobody_can_listen(self, has_auth, is_tls, in_clear):
        offer = offer_of(has_auth=has_auth, is_tls=is_tls, auth_without_tls=in_clear)

        assert (has_auth and (is_tls or in_clear)) is ("AUTH" in keywords(offer))
        withheld = offer.withheld.get(b"AUTH")
        assert (538 if has_auth and not is_tls and not in_clear else None) == (withheld and withheld.code)


class TestXclient:
    def test_case_050_it_does_not_exist_by_default_and_is_for_those_listed(self):
        nobody, listed = offer_of(), {"xclient_from": ("192.0.2.7",)}

        assert b"XCLIENT" not in {*nobody.verbs, *nobody.withheld}
        assert "XCLIENT" in keywords(offer_of(may_xclient=True, **listed))
        assert 550 == offer_of(may_xclient=False, **listed).withheld[b"XCLIENT"].code
