"""`mdacore lda-check`, as a command line."""

from __future__ import annotations

import os
import pwd
import re
import socket
from importlib.metadata import entry_points

import pytest
from click.testing import CliRunner

from mdacore_relay_lda.check import lda_check
from mdacore_relay_lda.trials import STANDINS

KNOWS_BOB = 'cat >/dev/null; case $1 in bob@d) echo taken;; *) echo "nobody called $1"; exit 67;; esac'


@pytest.fixture
def check():
    """Run the command; gives its exit code and its output."""

    def run(*arguments):
        result = CliRunner().invoke(lda_check, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    return run


@pytest.fixture
def lda(program):
    return program(KNOWS_BOB)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """What it prints for a program that knows one user."""
    lda = tmp_path_factory.mktemp("lda") / "lda"
    lda.write_text(f"#!/bin/sh\n{KNOWS_BOB}\n")
    lda.chmod(0o755)
    result = CliRunner().invoke(lda_check, ["--recipient", "bob@d", "--", str(lda), "{recipient}"])
    assert 0 == result.exit_code
    return result.output


class TestTable:
    def test_every_case_has_a_verdict(self, table):
        """The program's own two, and the stand-ins'."""
        verdicts = re.findall(r"^  \S.*? (?:delivered|deferred|bounced) ", table, re.M)

        assert 2 + len(STANDINS) == len(verdicts)

    @pytest.mark.parametrize(
        ("case", "verdict", "reply", "ended"),
        [
            ("test message", "delivered", "250 2.0.0 Delivered", "status 0: taken"),
            ("unknown user", "bounced", "550 5.1.1 Unknown user: nobody called no-such-user-here@d", "status 67"),
            ("over quota", "bounced", "550 5.7.0", "status 77"),
            ("temporary failure", "deferred", "451 4.3.0", "status 75"),
            ("wrong arguments", "deferred", "451 4.3.5", "status 64"),
            ("not executable", "deferred", "451 4.3.5", "status 127"),
            ("killed by a signal", "deferred", "451 4.3.0", "signal 9, silent"),
            ("hangs", "deferred", "451 4.4.2", "overdue, silent"),
            ("huge output", "deferred", "451 4.3.0 Temporary failure: xxx", "status 75: xxx"),
            ("output is not UTF-8", "bounced", "550 5.7.1 \ufffd\ufffd red", "status 1"),
        ],
    )
    def test_it_says_what_becomes_of_each_and_why(self, table, case, verdict, reply, ended):
        lines = table.splitlines()
        ((at, line),) = [(at, line) for at, line in enumerate(lines) if line.startswith(f"  {case} ")]

        assert line.removeprefix(f"  {case}").lstrip().startswith(verdict)
        assert reply in line
        assert lines[at + 1].lstrip().startswith(ended)

    def test_no_line_is_too_long_for_a_terminal_of_an_operator(self, table):
        assert max(map(len, table.splitlines())) <= 140

    def test_a_program_that_is_known_is_understood(self, check, program, tmp_path):
        """Its stand-in, too."""
        path = tmp_path / "dovecot-lda"
        path.symlink_to(program("cat >/dev/null"))

        _, output = check("--", str(path), "{recipient}")

        assert "552 5.2.2 Mailbox full" in output

    def test_a_full_mailbox_of_maildrop_is_shown_as_maildrop_says_it(self, check, program, tmp_path):
        path = tmp_path / "maildrop"
        path.symlink_to(program("cat >/dev/null"))

        _, output = check("--", str(path), "{recipient}")

        assert "452 4.2.2 Mailbox full: maildrop: maildir over quota." in output

    def test_it_may_judge_as_postfix_does(self, check, lda):
        _, output = check("--recipient", "bob@d", "--postfix", "--", lda, "{recipient}")

        assert "554 5.3.0 Command line usage error" in output


class TestAddresses:
    def test_the_bare_command_is_tried_for_whoever_asks(self, check, program):
        """Who that is, and who sends, is shown before anything is run."""
        me = f"{pwd.getpwuid(os.geteuid()).pw_name}@{socket.gethostname()}"

        code, output = check("--", program('echo "$SENDER|$RECIPIENT"'))

        assert 0 == code
        assert re.search(rf"^recipient +<{re.escape(me)}>$", output, re.M)
        assert re.search(r"^sender +<>$", output, re.M)
        assert f"status 0: |{me}" in output

    def test_all_of_them_may_be_named(self, check, program, tmp_path):
        script = program('cat >>"$1/got"; echo "$2 $3" >>"$1/args"')

        check(
            "--recipient", "bob@d", "--unknown", "eve@e", "--full", "full@f", "--sender", "me@d",
            "--", script, str(tmp_path), "{sender}", "{recipient}",
        )  # fmt: skip

        assert "me@d bob@d\nme@d eve@e\nme@d full@f\n" == (tmp_path / "args").read_text()
        assert "Subject: mdacore lda-check\n" in (tmp_path / "got").read_text()

    def test_for_a_full_mailbox_that_is_named_nobody_stands_in(self, check, lda):
        _, output = check("--recipient", "bob@d", "--full", "full@d", "--", lda, "{recipient}")

        assert "550 5.1.1 Unknown user: nobody called full@d" in output
        assert "Quota exceeded" not in output

    def test_an_unknown_user_that_gets_mail_is_remarked_on(self, check):
        assert "The unknown user got mail, too" in check("--", "/bin/cat")[1]

    def test_an_unknown_user_whose_mail_would_be_tried_again_is_remarked_on(self, check, program):
        script = program('cat >/dev/null; [ "$1" = bob@d ]')

        assert "would be tried for days" in check("--recipient", "bob@d", "--", script, "{recipient}")[1]


class TestCommand:
    def test_a_program_without_a_path_is_looked_up(self, check):
        assert re.search(r"^command +/\S*/cat$", check("--", "cat")[1], re.M)

    def test_one_that_is_nowhere_is_a_mistake_of_the_caller(self, check):
        code, output = check("--", "no-such-program-anywhere")

        assert (2, True) == (code, "no program 'no-such-program-anywhere' in $PATH" in output)

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("dovecot-lda", "-f '{sender}' -a '{original_recipient}' -d '{recipient}' -e"),
            ("maildrop", "-f '{sender}' -d '{user}' --"),
        ],
    )
    def test_a_bare_one_that_has_a_kind_is_called_as_the_kind_does(self, check, program, tmp_path, name, arguments):
        path = tmp_path / name
        path.symlink_to(program("cat >/dev/null"))

        assert f"{path} {arguments}\n" in check("--", str(path))[1]


class TestFailures:
    def test_it_ends_with_1_if_the_test_message_was_not_delivered(self, check):
        code, output = check("--", "/nonexistent/lda")

        assert (1, True) == (code, "not started: /nonexistent/lda: No such file or directory" in output)

    def test_a_silent_refusal_points_to_the_program_s_own_log(self, check, program):
        assert "the program's own log" in check("--", program("exit 75"))[1]

    def test_a_bad_template_is_a_mistake_of_the_caller(self, check):
        code, output = check("--recipient", "bob@d", "--", "/bin/cat", "{recpient}")

        assert (2, True) == (code, "did you mean {recipient}?" in output)

    def test_without_a_command_there_is_nothing_to_check(self, check):
        assert 2 == check()[0]


def test_the_core_finds_it():
    (entry_point,) = entry_points(group="mdacore.commands", name="lda-check")

    assert lda_check is entry_point.load()
