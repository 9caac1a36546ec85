"""What a configuration may say, and what is known before anything is started."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import mdacore_relay_lda
from mdacore import API_VERSION, ConfigError, Recipient, Seconds
from mdacore.assembly import Options, make_plan
from mdacore_relay_lda import DovecotLdaConfig, MaildropConfig, PipeConfig, kinds, mdacore_relays

README = Path(__file__).resolve().parents[3] / "plugins/relay_lda/README.md"


@pytest.fixture
def problems(tmp_path):
    """What is wrong with a relay's table, as an operator sees it."""

    def problems(*, service=None, **relay):
        queues = {"main": {"storage": "spool", "relay": "local"}}
        mapping = {"service": service or {}, "queues": queues, "relays": {"local": relay}}
        options = Options(mapping=mapping, plugins=[mdacore_relay_lda], state=tmp_path, environ={})
        with pytest.raises(ConfigError) as caught:
            make_plan(options)
        return [
            f"{problem.key.removeprefix('relays.local.')}: {problem.text}"
            for problem in caught.value.problems
            if problem.key.startswith("relays.")
        ]

    return problems


class TestKinds:
    def test_three_kinds_and_one_default(self):
        assert [("dovecot_lda", True), ("maildrop", False), ("pipe", False)] == [
            (provider.kind, provider.default) for provider in mdacore_relays()
        ]

    def test_they_are_written_for_this_api(self):
        assert {API_VERSION} == {provider.api for provider in mdacore_relays()}

    def test_a_table_with_everything_is_taken(self, problems):
        assert [] == problems(
            kind="pipe",
            command=["/bin/cat", "{recipient}"],
            exit_table={"67": "550 5.1.1", "99": "250"},
            environment={"HOME": "/var/vmail/{domain}/{user}"},
            timeout_s="5m",
            memory_max="1MB",
            per_recipient=True,
        )

    def test_postfix_is_a_table_by_its_name(self, problems):
        assert [] == problems(kind="pipe", command=["/bin/cat"], exit_table="postfix")


class TestProblems:
    @pytest.mark.parametrize(
        ("relay", "expected"),
        [
            ({"command": []}, "command: the program is missing"),
            ({}, "command: is missing and has no default"),
            ({"command": ["cat"]}, "command: the program 'cat' is not an absolute path"),
            ({"command": ["/bin/{user}"]}, "command: the program '/bin/{user}' is not an absolute path without"),
            ({"command": ["/bin/cat", "{usr}"]}, "command: '{usr}': nothing is called {usr}; did you mean {user}?"),
            ({"command": ["/bin/sh", "-c", "x {recipient}"]}, "command: a shell would run what is filled into"),
            ({"command": ["/bin/bash", "-x", "-ec", "x {sender}"]}, "command: a shell would run what is filled into"),
            ({"environment": {"A-B": "x"}}, "environment: 'A-B' is not the name of a variable"),
            ({"environment": {"A": "x\ny"}}, "environment: A has a control character"),
            ({"environment": {"A": "() { :;}"}}, "environment: A has a control character, or looks like a function"),
            ({"environment": {"A": "{x}"}}, "environment: '{x}': nothing is called {x}"),
            ({"exit_table": {"x": "550"}}, "exit_table: 'x' is not an exit status from 1 to 255"),
            ({"exit_table": {"67": "nobody"}}, "exit_table: not an SMTP reply: 'nobody'"),
            ({"exit_table": {"67": "354 go on"}}, "exit_table: '354 go on' is no answer to a delivery"),
            ({"null_sender": "a\nb"}, "null_sender: 'a\\nb' has a character that cannot be printed"),
            ({"timeout_s": 0}, "timeout_s: "),
            ({"concurrency_per_recipient": 0}, "concurrency_per_recipient: "),
            ({"writers": 0}, "writers: "),
            ({"line_ending": "cr"}, "line_ending: 'cr' is not one of lf, crlf"),
            (
                {"per_recipient": False, "command": ["/bin/cat", "-d", "{user}"]},
                "per_recipient: '{user}': {user} needs per_recipient = true",
            ),
        ],
    )
    def test_it_is_named_with_its_key(self, problems, relay, expected):
        given = {} if relay == {} else {"command": ["/bin/cat"], **relay}

        assert any(problem.startswith(expected) for problem in problems(kind="pipe", **given))

    def test_a_variable_may_not_name_a_recipient_where_there_are_many(self):
        with pytest.raises(ValueError, match="needs per_recipient"):
            PipeConfig(command=("/bin/cat",), per_recipient=False, environment={"HOME": "/m/{user}"})

    def test_a_shell_may_have_a_script_without_anything_filled_in(self):
        assert PipeConfig(command=("/bin/sh", "-c", 'cat >"$1"', "sh", "{recipient}"))

    def test_a_path_is_absolute(self, problems):
        assert ["path: bin/lda is not an absolute path"] == problems(kind="dovecot_lda", path="bin/lda")


class TestReadme:
    @pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL))
    def test_every_example_is_a_configuration(self, problems, example):
        """Its program may be missing here."""
        tables = tomllib.loads(example)
        (relay,) = tables["relays"].values()
        found = problems(service=tables.get("service"), **relay)

        assert [] == [problem for problem in found if not problem.endswith(": no such program")]


class TestCheck:
    """Provider.check: stat alone."""

    @pytest.fixture
    def found(self, context):
        return lambda config: [(problem.key, problem.text) for problem in kinds.check(config, context)]

    def test_a_program_that_can_be_executed_is_no_problem(self, found):
        assert [] == found(PipeConfig(command=("/bin/sh", "-c", "true")))

    def test_one_that_is_missing_is_named(self, found):
        assert [("path", "/nonexistent/lda: no such program")] == found(DovecotLdaConfig(path=Path("/nonexistent/lda")))

    @pytest.mark.parametrize("path", ["/etc/passwd", "/etc"])
    def test_so_is_one_that_cannot_be_executed(self, found, path):
        assert [("command", f"{path} is not a program that this user may execute")] == found(
            PipeConfig(command=(path,))
        )

    def test_a_folder_that_cannot_be_made_is_named(self, found):
        config = PipeConfig(command=("/bin/sh",), temporary_path=Path("/etc/passwd/tmp"))

        assert [("temporary_path", "/etc/passwd is not a folder that this user may write into")] == found(config)

    def test_nothing_is_made(self, found, context):
        found(PipeConfig(command=("/bin/sh",)))

        assert not context.state_path.exists()


class TestCommandLines:
    """How each kind calls its program."""

    @pytest.fixture
    def argv_of(self, context, make_envelope, attempt, started, program):
        """The arguments that a stand-in of the program was called with."""

        def argv_of(build, config, *, to="Bob+x@d", sender="a@b"):
            relay = started(build(config, context))
            recipient = Recipient(number=1, address=to, original_address="info@d")
            envelope = make_envelope(to, sender=sender, recipients=(recipient,))
            return relay.attempt(envelope, attempt)[1].text.split(": ", 1)[1].split(" ")

        return argv_of

    @pytest.fixture
    def echo(self, program):
        """A program that fails and says how it was called."""
        return Path(program('for each; do printf "<%s> " "$each"; done; exit 67'))

    def test_dovecot_lda_is_always_told_to_refuse_itself(self, argv_of, echo):
        assert ["<-f>", "<a@b>", "<-a>", "<info@d>", "<-d>", "<Bob+x@d>", "<-e>"] == argv_of(
            kinds.dovecot_lda, DovecotLdaConfig(path=echo)
        )

    def test_dovecot_lda_may_work_without_its_user_database(self, argv_of, echo):
        config = DovecotLdaConfig(path=echo, user="", extra_args=("-m", "{extension}"))

        assert ["<-f>", "<>", "<-a>", "<info@d>", "<-e>", "<-m>", "<x>"] == argv_of(
            kinds.dovecot_lda, config, sender=""
        )

    def test_maildrop_delivers_to_a_user(self, argv_of, echo):
        assert ["<-f>", "<a@b>", "<-d>", "<bob>", "<-->"] == argv_of(kinds.maildrop, MaildropConfig(path=echo))

    def test_case_079_maildrop_knows_where_its_options_end(self, argv_of, echo):
        config = MaildropConfig(
            path=echo, filter="/etc/mailfilter", extra_args=("-V", "0"), args=("{recipient}",), allow_leading_dash=True
        )

        assert ["<-f>", "<-a@b>", "<-V>", "<0>", "<-->", "</etc/mailfilter>", "<-x@d>"] == argv_of(
            kinds.maildrop, config, to="-x@d", sender="-a@b"
        )


def test_durations_are_seconds():
    assert (Seconds(300.0), Seconds(5.0)) == (DovecotLdaConfig().timeout_s, DovecotLdaConfig().kill_grace_s)
