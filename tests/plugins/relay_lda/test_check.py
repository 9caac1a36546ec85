"""`mdacore lda-check`, as a command line."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from click.testing import CliRunner

from mdacore_relay_lda.check import STANDINS, lda_check

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
    def test_every_case_has_a_line(self, table):
        assert 1 + 2 + len(STANDINS) + 1 == len(table.splitlines())

    @pytest.mark.parametrize(
        ("case", "expected"),
        [
            ("test message", "250 2.0.0 Delivered"),
            ("unknown user", "550 5.1.1 Unknown user: nobody called no-such-user-here@d"),
            ("over quota", "550 5.7.0"),
            ("temporary failure", "451 4.3.0"),
            ("wrong arguments", "451 4.3.5"),
            ("not executable", "451 4.3.5"),
            ("killed by a signal", "451 4.3.0"),
            ("hangs", "451 4.4.2"),
            ("huge output", "451 4.3.0 Temporary failure: xxx"),
            ("output is not UTF-8", "550 5.7.1 \ufffd\ufffd red"),
        ],
    )
    def test_it_says_what_becomes_of_each(self, table, case, expected):
        (line,) = [line for line in table.splitlines() if line.startswith(case)]
        assert expected in line

    def test_a_program_that_is_known_is_understood(self, check, program, tmp_path):
        """Its stand-in, too."""
        path = tmp_path / "dovecot-lda"
        path.symlink_to(program("cat >/dev/null"))

        _, output = check("--recipient", "bob@d", "--", str(path))

        assert "552 5.2.2 Mailbox full" in output

    def test_it_may_judge_as_postfix_does(self, check, lda):
        _, output = check("--recipient", "bob@d", "--postfix", "--", lda, "{recipient}")

        assert "554 5.3.0 Command line usage error" in output

    def test_the_addresses_may_be_named(self, check, program, tmp_path):
        script = program('cat >>"$1/got"; echo "$2 $3" >>"$1/args"')

        check(
            "--recipient", "bob@d", "--unknown", "eve@e", "--sender", "me@d",
            "--", script, str(tmp_path), "{sender}", "{recipient}",
        )  # fmt: skip

        assert "me@d bob@d\nme@d eve@e\n" == (tmp_path / "args").read_text()
        assert "Subject: mdacore lda-check\n" in (tmp_path / "got").read_text()


class TestFailures:
    def test_it_ends_with_1_if_the_test_message_was_not_delivered(self, check):
        code, output = check("--recipient", "bob@d", "--", "/nonexistent/lda")

        assert (1, True) == (code, "not started" in output)

    def test_a_bad_template_is_a_mistake_of_the_caller(self, check):
        code, output = check("--recipient", "bob@d", "--", "/bin/cat", "{recpient}")

        assert (2, True) == (code, "did you mean {recipient}?" in output)

    def test_without_a_command_there_is_nothing_to_check(self, check):
        assert 2 == check("--recipient", "bob@d")[0]


def test_the_core_finds_it():
    (entry_point,) = entry_points(group="mdacore.commands", name="lda-check")

    assert lda_check is entry_point.load()
