"""A program's arguments and environment, made from an envelope."""

from __future__ import annotations

import pytest

from mdacore import Account, Client, QueueId
from mdacore_relay_lda.program import Program, UserProgram, facts_of
from mdacore_relay_lda.template import Template, UnsafeValue

ACCOUNT = Account(name="vmail", uid=5000, gid=5000, home="/var/vmail")


@pytest.fixture
def command_of(make_envelope):
    def command(program, *addresses, **envelope):
        message = make_envelope(*addresses, **envelope)
        return program.command(message, message.recipients, QueueId("q123456789"), ACCOUNT)

    return command


def make_program(*argv, **keywords):
    return Program(argv=tuple(map(Template, argv)), **keywords)


class TestArguments:
    def test_each_template_is_one_argument(self, command_of):
        command = command_of(make_program("/bin/prog", "-f", "{sender}", "{recipient}"), "a b@d", sender="s; rm -rf@d")

        assert (b"/bin/prog", b"-f", b"s; rm -rf@d", b"a b@d") == command.argv

    def test_case_080_an_empty_value_stays_an_argument(self, command_of):
        command = command_of(make_program("/bin/prog", "-f", "{sender}", "-d", "{extension}", "x"), "bob@d", sender="")

        assert (b"/bin/prog", b"-f", b"", b"-d", b"", b"x") == command.argv

    def test_text_is_utf8_whatever_the_locale(self, command_of):
        assert "/bin/prog", (
            "用户@例子".encode() in command_of(make_program("/bin/prog", "{recipient}"), "用户@例子").argv
        )

    def test_with_one_process_for_all_the_recipient_repeats(self, command_of):
        program = make_program("/bin/prog", "-f", "{sender}", "--", "{recipient}", is_per_recipient=False)

        command = command_of(program, "a@d", "b@d", "c@d", sender="")

        assert (b"/bin/prog", b"-f", b"", b"--", b"a@d", b"b@d", b"c@d") == command.argv


class TestEnvironment:
    def test_variables_of_the_operator_win_and_are_filled_in(self, command_of):
        program = make_program(
            "/bin/prog", environment={"HOME": Template("/var/vmail/{domain}/{user}"), "MODE": Template("x")}
        )

        environment = command_of(program, "Bob@Example.Test").environment

        assert (b"/var/vmail/example.test/bob", b"x") == (environment[b"HOME"], environment[b"MODE"])

    def test_the_rest_is_the_account_and_the_message(self, command_of):
        assert [
            b"DOMAIN", b"EXTENSION", b"HOME", b"LANG", b"LOCAL", b"LOGNAME", b"ORIGINAL_RECIPIENT", b"PATH",
            b"QUEUE_ID", b"RECIPIENT", b"SENDER", b"SHELL", b"USER",
        ] == sorted(command_of(make_program("/bin/prog"), "bob@d").environment)  # fmt: skip


class TestUserProgram:
    """What the spawn helper makes of facts alone."""

    @pytest.mark.parametrize("is_per_recipient", [True, False])
    def test_it_is_what_the_service_makes_of_the_envelope(self, command_of, make_envelope, is_per_recipient):
        program = make_program(
            "/bin/prog", "{sender}", "{recipient}", "{queue_id}", "{client_ip}",
            environment={"BY": Template("{client_identity}")}, is_per_recipient=is_per_recipient,
        )  # fmt: skip
        addresses = ["Bob+x@Example.test"] if is_per_recipient else ["bob@d", "eve@e"]
        client = Client(ip="192.0.2.1", host="h", helo="e", protocol="ESMTP", identity="alice")
        envelope = make_envelope(*addresses, client=client)

        facts = facts_of(envelope, envelope.recipients, QueueId("q123456789"))

        assert command_of(program, *addresses, client=client) == UserProgram(program, Template("x")).command(
            facts, ACCOUNT
        )

    @pytest.mark.parametrize(("user", "expected"), [("vmail", "vmail"), ("{user}", "bob"), ("u-{domain}", "u-d")])
    def test_it_runs_as_the_user_that_the_template_names(self, make_envelope, user, expected):
        envelope = make_envelope("Bob+x@d")
        facts = facts_of(envelope, envelope.recipients, QueueId("q"))

        assert expected == UserProgram(make_program("/bin/prog"), Template(user)).run_as(facts)

    @pytest.mark.parametrize(
        "facts",
        [
            (),
            ("s@d", "q", "", "", "", "", ""),
            ("s@d", "q", "", "", "", "", "", "bob@d"),
            ("s@d", "q", "", "", "", "", "", "bob@d", "", "eve@d", ""),
            ("s@d", "q", "", "", "", "", "", "-bob@d", ""),
            ("s@d", "q", "", "", "", "", "", "bob\n@d", ""),
            ("() { :;}", "q", "", "", "", "", "", "bob@d", ""),
        ],
    )
    def test_facts_that_no_service_sends_are_refused(self, facts):
        """Also those that the service would have refused itself: it may not be itself any more."""
        with pytest.raises(ValueError):
            UserProgram(make_program("/bin/prog", "{recipient}"), Template("{user}")).command(facts, ACCOUNT)

    def test_a_user_that_begins_like_an_option_is_unsafe_for_the_service_too(self, command_of):
        program = make_program("/bin/prog", user=Template("{extension}"))

        with pytest.raises(UnsafeValue):
            command_of(program, "bob+-x@d")
