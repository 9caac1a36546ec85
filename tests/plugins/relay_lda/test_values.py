"""Which values and variables a program gets, and which addresses never reach one."""

from __future__ import annotations

import attrs
import pytest

from mdacore import Account, Client, QueueId, Recipient
from mdacore_relay_lda.template import NAMES, RECIPIENT_NAMES, UnsafeValue
from mdacore_relay_lda.values import Addressing, environment_of, variables

QUEUE_ID = QueueId("q123456789")


@pytest.fixture
def values_of(make_envelope):
    def values(address, addressing=Addressing(), original_address="", **envelope):  # noqa: B008 - immutable
        recipient = Recipient(number=1, address=address, original_address=original_address)
        return addressing.values(make_envelope(address, **envelope), recipient, QUEUE_ID)

    return values


class TestValues:
    def test_every_name_has_a_value(self, values_of):
        assert set(NAMES) == set(values_of("bob@example.test"))

    def test_for_all_recipients_at_once_those_of_a_recipient_are_missing(self, make_envelope):
        values = Addressing().values(make_envelope("bob@example.test"), None, QUEUE_ID)

        assert set(NAMES) - RECIPIENT_NAMES == set(values)

    @pytest.mark.parametrize(
        ("address", "user", "extension", "local", "domain"),
        [
            ("Bob+Lists@Example.TEST.", "bob", "Lists", "Bob+Lists", "example.test"),
            ("bob", "bob", "", "bob", ""),
            ("bob+@d", "bob", "", "bob+", "d"),
            ("bob+a+b@d", "bob", "a+b", "bob+a+b", "d"),
            ("+bob@d", "+bob", "", "+bob", "d"),
            ('"a+b"@d', '"a+b"', "", '"a+b"', "d"),
            ('"@"@d', '"@"', "", '"@"', "d"),
            ("用户+x@例子", "用户", "x", "用户+x", "例子"),
        ],
    )
    def test_an_address_is_taken_apart(self, values_of, address, user, extension, local, domain):
        """A user is never empty: programs take that for their own user."""
        values = values_of(address)

        assert (address, user, extension, local, domain) == tuple(
            values[name] for name in ("recipient", "user", "extension", "local", "domain")
        )

    def test_the_case_of_a_user_may_count(self, values_of):
        assert "Bob" == values_of("Bob+x@d", Addressing(folds_case=False))["user"]

    def test_without_a_delimiter_there_are_no_extensions(self, values_of):
        values = values_of("bob+x@d", Addressing(recipient_delimiter=""))

        assert ("bob+x", "") == (values["user"], values["extension"])

    def test_the_original_recipient_is_what_the_client_said(self, values_of):
        assert "info@example.test" == values_of("bob@d", original_address="info@example.test")["original_recipient"]

    def test_without_a_change_it_is_the_recipient(self, values_of):
        assert "bob@d" == values_of("bob@d")["original_recipient"]

    @pytest.mark.parametrize(("null_sender", "expected"), [("", ""), ("MAILER-DAEMON", "MAILER-DAEMON")])
    def test_case_080_the_null_sender_is_what_the_operator_says(self, values_of, null_sender, expected):
        assert expected == values_of("bob@d", Addressing(null_sender=null_sender), sender="")["sender"]

    def test_what_a_client_says_of_itself_is_made_harmless(self, values_of):
        client = Client(helo="a\nb", identity="() { :;}; x")

        values = values_of("bob@d", client=client)

        assert ("a b", "() :;}; x") == (values["client_helo"], values["client_identity"])


class TestUnsafeAddresses:
    @pytest.mark.parametrize(
        "address",
        ["a\nb@d", "a\rb@d", "a\0b@d", "a\x1bb@d", "a\x7fb@d", "a\x9bb@d", "a\u2028b@d", "a\udc80b@d", "x@() { :;}"],
    )
    def test_case_081_control_characters_and_functions_never_reach_a_program(self, values_of, address):
        with pytest.raises(UnsafeValue):
            values_of(address)
        with pytest.raises(UnsafeValue):
            values_of("bob@d", sender=address)
        with pytest.raises(UnsafeValue):
            values_of("bob@d", original_address=address)

    @pytest.mark.parametrize("address", ["-x@d", "--foo@d", "-@d"])
    def test_case_079_addresses_like_options_are_refused(self, values_of, address):
        with pytest.raises(UnsafeValue):
            values_of(address)
        with pytest.raises(UnsafeValue):
            values_of("bob@d", sender=address)

    def test_an_operator_may_allow_dashes(self, values_of):
        values = values_of("-x@d", Addressing(allows_dash=True), sender="-y@d")

        assert ("-x@d", "-y@d") == (values["recipient"], values["sender"])


class TestMailbox:
    @pytest.mark.parametrize("address", ["bob@example.test", "Bob@Example.Test.", "bob+lists@example.test"])
    def test_spellings_of_one_mailbox_are_equal(self, address):
        assert ("bob", "example.test") == Addressing().mailbox(address)

    def test_case_counts_where_the_operator_says_so(self):
        addressing = Addressing(folds_case=False)

        assert addressing.mailbox("Bob@d") != addressing.mailbox("bob@d")


class TestVariables:
    def test_those_of_the_account(self):
        assert {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/var/vmail",
            "LOGNAME": "vmail",
            "USER": "vmail",
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
        } == environment_of(Account(name="vmail", uid=5000, gid=5000, home="/var/vmail"))

    def test_those_of_the_message(self, values_of):
        assert {
            "SENDER": "alice@example.org",
            "RECIPIENT": "bob+x@example.test",
            "ORIGINAL_RECIPIENT": "bob+x@example.test",
            "LOCAL": "bob+x",
            "DOMAIN": "example.test",
            "EXTENSION": "x",
            "QUEUE_ID": "q123456789",
        } == variables(values_of("bob+x@example.test"))

    def test_for_all_recipients_at_once_none_is_named(self, make_envelope):
        values = Addressing().values(make_envelope("a@d", "b@d"), None, QUEUE_ID)

        assert {"SENDER", "QUEUE_ID"} == set(variables(values))

    def test_an_addressing_is_immutable(self):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            Addressing().null_sender = "x"
