"""A program's arguments and environment, made from an envelope."""

from __future__ import annotations

import pytest

from mdacore import QueueId
from mdacore_relay_lda.program import Program
from mdacore_relay_lda.template import Template
from mdacore_relay_lda.values import Account

ACCOUNT = Account(name="vmail", home="/var/vmail")


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
