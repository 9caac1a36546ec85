"""The relay: one message for some recipients, by real processes."""

from __future__ import annotations

import errno
import os
import resource
import time

import attrs
import gevent
import pytest

from mdacore import Content, FileBody, MemoryBody, QueueId, Recipient, Status
from mdacore.queue import BoundRelay, Queue, QueueWiring, RetrySchedule, Route
from mdacore.runtime import SystemClock
from mdacore.testing import ManualClock, MemoryStorage
from mdacore_relay_lda import PipeConfig, events, kinds
from mdacore_relay_lda.delivery import Deliverer
from mdacore_relay_lda.program import Program
from mdacore_relay_lda.relay import LdaRelay
from mdacore_relay_lda.template import Template
from mdacore_relay_lda.verdict import Verdicts

SHOW = 'for each; do printf "<%s>" "$each"; done; exit 67'
"""Fails, and says how it was called."""

HANG = "case $1 in slow*) sleep 60;; esac; cat >/dev/null"
"""Hangs for recipients that begin so."""

DEADLINES_S = (2.0, 20.0, 60.0)
"""A machine that is too busy for one is given another."""


def coded(reply):
    return f"{reply.code} {reply.enhanced}"


@pytest.fixture
def show(program):
    return program(SHOW)


@pytest.fixture
def hang(program):
    return program(HANG)


@pytest.fixture
def relay_over(context, started):
    """A relay whose processes are started by this launcher."""

    def make(launcher, *command, **config):
        settings = PipeConfig(command=command, **config)
        program = Program(argv=tuple(map(Template, command)))
        deliverer = Deliverer(settings, context, program=program, verdicts=Verdicts(), launcher=launcher)
        return started(LdaRelay(deliverer, context))

    return make


class TestReplies:
    def test_each_recipient_has_a_process_and_a_reply_of_its_own(self, make_relay, program, make_envelope, attempt):
        relay = make_relay(program("case $1 in a@d) exit 0;; b@d) exit 67;; *) exit 75;; esac"), "{recipient}")

        replies = relay.attempt(make_envelope("a@d", "b@d", "c@d"), attempt)

        assert {1: "250 2.0.0", 2: "550 5.1.1", 3: "451 4.3.0"} == {
            number: coded(reply) for number, reply in replies.items()
        }

    def test_one_process_may_serve_all(self, make_relay, show, make_envelope, attempt):
        relay = make_relay(show, "{recipient}", per_recipient=False)

        replies = relay.attempt(make_envelope("a@d", "b@d"), attempt)

        assert {1: "550 5.1.1 Unknown user: <a@d><b@d>", 2: "550 5.1.1 Unknown user: <a@d><b@d>"} == {
            number: str(reply) for number, reply in replies.items()
        }

    def test_a_bad_address_does_not_take_the_others_with_it(self, make_relay, show, make_envelope, attempt):
        relay = make_relay(show, "{recipient}", per_recipient=False)

        replies = relay.attempt(make_envelope("a@d", "-x@d", "b@d"), attempt)

        assert {1: "550 5.1.1", 2: "553 5.1.3", 3: "550 5.1.1"} == {
            number: coded(reply) for number, reply in replies.items()
        }
        assert replies[1].text.endswith("<a@d><b@d>")

    def test_the_program_reads_the_message_under_its_fields(self, deliver, tmp_path):
        deliver("/bin/sh", "-c", 'cat >"$1"', "sh", str(tmp_path / "got"), envelope={"sender": "a@b"})

        assert (
            b"Return-Path: <a@b>\nDelivered-To: bob@example.test\nFrom: <alice@example.org>\nSubject: hello\n\n"
            b"How are you?\n"
        ) == (tmp_path / "got").read_bytes()

    def test_without_the_fields_it_reads_what_was_received(self, deliver, tmp_path):
        body = b"Subject: x\r\n\r\n.dot\r\n\xff"

        deliver(
            "/bin/sh", "-c", 'cat >"$1"', "sh", str(tmp_path / "got"),
            return_path=False, delivered_to=False, line_ending="crlf", envelope={"body": body},
        )  # fmt: skip

        assert body == (tmp_path / "got").read_bytes()

    def test_a_large_message_in_a_file_arrives_whole(self, deliver, tmp_path):
        body = b"Subject: x\r\n\r\n" + b"line\r\n" * 300_000
        (tmp_path / "body").write_bytes(body)
        content = Content(FileBody(tmp_path / "body", len(body)))

        deliver(
            "/bin/sh", "-c", 'cat >"$1"', "sh", str(tmp_path / "got"),
            return_path=False, delivered_to=False, envelope={"content": content},
        )  # fmt: skip

        assert body.replace(b"\r\n", b"\n") == (tmp_path / "got").read_bytes()

    def test_a_message_that_cannot_be_read_defers(self, deliver, tmp_path):
        content = Content(FileBody(tmp_path / "missing", 1_000_000))

        assert "451 4.3.0" == coded(deliver("/bin/true", envelope={"content": content}))

    def test_before_the_start_and_after_the_stop_it_defers(self, make_relay, make_envelope, attempt):
        relay = make_relay("/bin/true")
        relay.stop()

        assert "451 4.3.2" == coded(relay.attempt(make_envelope("a@d"), attempt)[1])


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            ";rm@d", "`id`@d", "$(id)@d", "|x@d", "a b@d", "%s@d", "%n%s@d", "{0.__class__}@d", "{sender}@d",
            "~root@d", "../../etc/x@d", "*@d", "a'b@d", 'a"b@d', "$HOME@d", "a&b@d", "a>b@d", "#x@d", "用户@例子",
        ],
    )  # fmt: skip
    def test_case_079_an_address_is_an_argument_and_nothing_else(self, deliver, show, address):
        reply = deliver(show, "-f", "{sender}", "-d", "{recipient}", to=address, envelope={"sender": address})

        assert f"550 5.1.1 Unknown user: <-f><{address}><-d><{address}>" == str(reply)

    @pytest.mark.parametrize("address", ["-x@d", "--foo@d", "-@d", "a\nb@d", "a\rb@d", "a\0b@d", "a\x1b[31m@d"])
    def test_case_079_what_could_be_misread_is_refused(self, deliver, show, address):
        assert "553 5.1.3" == coded(deliver(show, "{recipient}", to=address))
        assert "553 5.1.3" == coded(deliver(show, "{recipient}", envelope={"sender": address}))

    def test_case_079_an_operator_may_take_dashes(self, deliver, show):
        reply = deliver(show, "--", "{recipient}", to="-x@d", allow_leading_dash=True)

        assert "550 5.1.1 Unknown user: <--><-x@d>" == str(reply)

    def test_case_079_an_extension_is_no_option_either(self, deliver, show):
        assert "553 5.1.3" == coded(deliver(show, "{extension}", to="bob+-rf@d"))

    @pytest.mark.parametrize("local", ["../../etc/x", "..", "a/b"])
    def test_case_079_no_address_leaves_a_folder(self, deliver, show, local):
        assert "553 5.1.3" == coded(deliver(show, "/var/mail/{user}", to=f"{local}@d"))

    def test_case_080_a_null_sender_moves_no_argument(self, deliver, show):
        reply = deliver(show, "-f", "{sender}", "-d", "{recipient}", to="bob@d", envelope={"sender": ""})

        assert "550 5.1.1 Unknown user: <-f><><-d><bob@d>" == str(reply)

    def test_case_080_a_null_sender_may_have_a_name(self, deliver, show):
        reply = deliver(show, "-f", "{sender}", to="bob@d", envelope={"sender": ""}, null_sender="MAILER-DAEMON")

        assert "550 5.1.1 Unknown user: <-f><MAILER-DAEMON>" == str(reply)

    @pytest.mark.parametrize("address", ['"a b"@d', r'"a\"b"@d', '"a>b"@d', '"@"@d', '" "@d', '"a+b"@d'])
    def test_case_032_quoted_local_parts_arrive_as_they_are(self, deliver, program, address, tmp_path):
        """In an argument, in the environment and in Delivered-To."""
        script = program('grep -a ^Delivered-To:; printf "%s|%s|%s" "$1" "$RECIPIENT" "$LOCAL@$DOMAIN"; exit 67')

        reply = deliver(script, "{recipient}", to=address)

        assert f"550 5.1.1 Unknown user: Delivered-To: {address} {address}|{address}|{address}" == str(reply)


class TestEnvironment:
    def test_case_081_only_what_is_listed_is_there(self, context, started, make_envelope, monkeypatch):
        for name in ("LD_PRELOAD_X", "PYTHONPATH", "SECRET", "MDACORE__X", "LISTEN_FDS", "BASH_ENV"):
            monkeypatch.setenv(name, "x")
        config = PipeConfig(command=("/usr/bin/env", "-0"), environment={"HOME": "/var/vmail/{user}"})
        deliverer = started(kinds.pipe_deliverer(config, context, known_as=""))
        envelope = make_envelope("Bob+x@Example.Test", sender="")

        delivery = deliverer.deliver(envelope, envelope.recipients, QueueId("q123456789"), 10.0)

        variables = dict(line.split("=", 1) for line in delivery.result.output.decode().split("\0") if line)
        assert {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "HOME": "/var/vmail/bob",
            "SENDER": "",
            "RECIPIENT": "Bob+x@Example.Test",
            "ORIGINAL_RECIPIENT": "Bob+x@Example.Test",
            "LOCAL": "Bob+x",
            "DOMAIN": "example.test",
            "EXTENSION": "x",
            "QUEUE_ID": "q123456789",
        } == {name: value for name, value in variables.items() if name not in ("USER", "LOGNAME")}
        assert variables["USER"] == variables["LOGNAME"]

    @pytest.mark.parametrize("address", ["x@() { :;}; id", "a\nLD_PRELOAD=x@d", "a\0b@d"])
    def test_case_081_values_that_a_shell_could_take_for_code_are_refused(self, deliver, show, address):
        assert "553 5.1.3" == coded(deliver(show, to=address))


class TestLoops:
    def test_case_052_a_message_that_was_here_before_is_refused(self, deliver, tmp_path):
        """In any case of letters; the program does not run."""
        body = b"Delivered-To: BOB@Example.TEST\r\nSubject: x\r\n\r\n"

        reply = deliver("/bin/sh", "-c", '>"$1"', "sh", str(tmp_path / "ran"), envelope={"body": body})

        assert "554 5.4.6 Mail forwarding loop" == str(reply)
        assert not (tmp_path / "ran").exists()

    def test_case_052_another_recipients_field_is_no_loop(self, make_relay, make_envelope, attempt):
        relay = make_relay("/bin/true")
        body = b"Delivered-To: a@d\r\n\r\n"

        replies = relay.attempt(make_envelope("a@d", "b@d", body=body), attempt)

        assert {1: "554 5.4.6", 2: "250 2.0.0"} == {number: coded(reply) for number, reply in replies.items()}

    def test_case_052_without_the_field_nothing_is_looked_for(self, deliver):
        body = b"Delivered-To: bob@example.test\r\n\r\n"

        assert deliver("/bin/true", delivered_to=False, envelope={"body": body}).is_success

    def test_with_one_process_for_all_no_recipient_is_named(self, make_relay, make_envelope, attempt, tmp_path):
        """Nobody learns who else got the message."""
        relay = make_relay("/bin/sh", "-c", 'cat >"$1"', "sh", str(tmp_path / "got"), per_recipient=False)

        relay.attempt(make_envelope("a@d", "b@d", sender="s@d", body=b"A: b\r\n\r\n"), attempt)

        assert b"Return-Path: <s@d>\nA: b\n\n" == (tmp_path / "got").read_bytes()


class TestFailures:
    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            ("exit 0", "250 2.0.0 Delivered"),
            ("echo full >&2; exit 75", "451 4.3.0 Temporary failure: full"),
            ("echo 5.2.1 closed; exit 75", "550 5.2.1 closed"),
            ("echo 4.2.1 busy; exit 67", "451 4.2.1 busy"),
            ("kill -SEGV $$", "451 4.3.0 Delivery was broken off, try again later"),
            ("exit 3", "451 4.3.0 Temporary failure"),
        ],
    )
    def test_case_082_the_end_of_a_process_is_a_reply(self, deliver, program, script, expected):
        assert expected == str(deliver(program(script)))

    def test_case_082_the_operator_has_the_last_word(self, deliver, program):
        assert "550 5.2.1 No" == str(deliver(program("echo 4.0.0 x; exit 3"), exit_table={"3": "550 5.2.1 No"}))

    def test_case_082_a_program_that_cannot_be_executed_defers(self, deliver, program, tmp_path):
        not_a_program, no_interpreter = tmp_path / "text", program("true", "")
        not_a_program.write_text("x")
        lost_interpreter = program("true", "#!/nonexistent/sh\n")

        assert {"451 4.3.5"} == {
            coded(deliver(command))
            for command in ("/nonexistent", str(not_a_program), no_interpreter, lost_interpreter, str(tmp_path))
        }

    def test_what_could_not_be_started_shows_in_health_and_log(self, make_relay, make_envelope, attempt, lines):
        relay = make_relay("/nonexistent")

        relay.attempt(make_envelope("bob@d"), attempt)

        assert (Status.DEGRADED, "/nonexistent: No such file or directory") == (
            relay.health().status,
            relay.health().reason,
        )
        assert [("error", events.NOT_STARTED), ("warning", events.DEFERRED)] == [line[:2] for line in lines.written]

    @pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
    def test_case_087_when_no_process_can_be_made_mail_is_deferred(
        self, relay_over, launcher, make_envelope, attempt, number
    ):
        relay = relay_over(launcher, "/bin/true")
        launcher.error = OSError(number, os.strerror(number))
        first = relay.attempt(make_envelope("bob@d"), attempt)[1]
        launcher.error = None

        second = relay.attempt(make_envelope("bob@d"), attempt)[1]

        assert ("451 4.3.0", "250 2.0.0", Status.OK) == (coded(first), coded(second), relay.health().status)

    def test_case_087_when_descriptors_run_out_mail_is_deferred(self, make_relay, make_envelope, attempt):
        relay = make_relay("/bin/true")
        relay.attempt(make_envelope("bob@d"), attempt)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        results = []
        for room in range(4):
            lowest_free = os.dup(0)
            os.close(lowest_free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + room, hard))
            try:
                results.append(coded(relay.attempt(make_envelope("bob@d"), attempt)[1]))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        assert {"451 4.3.0", "250 2.0.0"} >= set(results)
        assert "451 4.3.0" == results[0]
        assert relay.attempt(make_envelope("bob@d"), attempt)[1].is_success

    def test_what_a_program_says_when_it_fails_is_logged_and_no_more(
        self, make_relay, program, make_envelope, attempt, lines
    ):
        relay = make_relay(program("echo said; case $1 in a@d) exit 67;; esac"), "{recipient}")

        relay.attempt(make_envelope("a@d", "b@d"), attempt)

        refused = {"reply": "550 5.1.1 Unknown user: said", "ended": "status 67", "output": "said"}
        assert [
            ("info", events.REFUSED, {"rcpts": ["a@d"], **refused}),
            ("debug", events.DELIVERED, {"rcpts": ["b@d"], "reply": "250 2.0.0 Delivered"}),
        ] == lines.written

    def test_case_085_output_is_printable_in_replies_and_log(self, make_relay, program, make_envelope, attempt, lines):
        relay = make_relay(program(r"printf 'a\033[31m\r\nTo: x\000\377'; exit 67"))

        reply = relay.attempt(make_envelope("bob@d"), attempt)[1]

        assert ("Unknown user: a To: x \ufffd", "a To: x \ufffd") == (reply.text, lines.written[0][2]["output"])


class TestTime:
    def test_case_083_a_delivery_that_hangs_is_deferred_not_bounced(self, deliver):
        began = time.monotonic()

        reply = deliver("/bin/sleep", "60", timeout_s=0.3, kill_grace_s=0.2)

        assert "451 4.4.2 Delivery took too long, try again later" == str(reply)
        assert time.monotonic() - began < 30.0

    def test_the_attempts_deadline_is_kept(self, make_relay, program, make_envelope, attempt):
        """The core would otherwise break it off, and nobody would know who has the message."""
        relay = make_relay(program("trap '' TERM; while :; do sleep 60; done"))

        for deadline_s in DEADLINES_S:
            with gevent.Timeout(deadline_s, False):
                replies = relay.attempt(make_envelope("a@d"), attrs.evolve(attempt, deadline_s=deadline_s))
                break

        assert "451 4.4.2" == coded(replies[1])

    def test_all_recipients_get_an_even_share_of_the_time(self, relay_over, launcher, make_envelope, attempt):
        """One that hangs does not use up the time of the others."""
        relay = relay_over(launcher, "/bin/sleep", "60")

        for deadline_s in DEADLINES_S:
            launcher.children.clear()
            replies = relay.attempt(make_envelope("a@d", "b@d", "c@d"), attrs.evolve(attempt, deadline_s=deadline_s))
            if len(launcher.children) == 3:
                break

        assert (3, {"451 4.4.2"}) == (len(launcher.children), {coded(reply) for reply in replies.values()})

    def test_when_too_little_time_is_left_the_rest_is_deferred_and_not_tried(
        self, relay_over, launcher, make_envelope, attempt
    ):
        relay = relay_over(launcher, "/bin/sleep", "60")
        addresses = [f"user{number}@d" for number in range(20)]

        replies = relay.attempt(make_envelope(*addresses), attrs.evolve(attempt, deadline_s=0.5))

        assert (20, {"451 4.4.2"}) == (len(replies), {coded(reply) for reply in replies.values()})
        assert len(launcher.children) < 10

    def test_interrupted_after_a_delivery_it_says_who_has_the_message(
        self, relay_over, launcher, hang, make_envelope, attempt, wait_until
    ):
        relay = relay_over(launcher, hang, "{recipient}")
        attempting = gevent.spawn(relay.attempt, make_envelope("a@d", "slow@d", "b@d"), attempt)
        wait_until(lambda: len(launcher.children) == 2)

        attempting.kill(gevent.Timeout())

        replies = attempting.get()
        assert {1: "250 2.0.0", 2: "451 4.3.0", 3: "451 4.3.0"} == {
            number: coded(reply) for number, reply in replies.items()
        }

    def test_interrupted_before_one_it_raises(self, make_relay, hang, make_envelope, attempt):
        relay = make_relay(hang, "{recipient}")

        with gevent.Timeout(0.3) as timeout, pytest.raises(gevent.Timeout) as caught:
            relay.attempt(make_envelope("slow@d"), attempt)

        assert timeout is caught.value

    def test_a_killed_attempt_leaves_no_process(self, relay_over, launcher, make_envelope, attempt, is_gone):
        relay = relay_over(launcher, "/bin/sleep", "60")
        greenlet = gevent.spawn(relay.attempt, make_envelope("a@d"), attempt)
        gevent.idle()

        greenlet.kill()

        assert is_gone(launcher.children[0].pid)


class TestTurns:
    def test_case_088_one_mailbox_has_one_process_at_a_time(
        self, make_relay, program, make_envelope, attempt, tmp_path
    ):
        """A folder that only one can make is the proof."""
        script = program('mkdir "$1/lock" || exit 70; sleep 0.02; rmdir "$1/lock"')
        relay = make_relay(script, str(tmp_path))
        addresses = ["bob@example.test", "Bob@Example.Test", "bob+x@example.test"] * 3

        jobs = [gevent.spawn(relay.attempt, make_envelope(address), attempt) for address in addresses]

        assert {"250 2.0.0"} == {coded(job.get()[1]) for job in jobs}

    def test_case_088_different_mailboxes_do_not_wait(self, make_relay, hang, make_envelope, attempt):
        relay = make_relay(hang, "{recipient}")
        slow = gevent.spawn(relay.attempt, make_envelope("slow@d"), attempt)
        gevent.idle()

        assert relay.attempt(make_envelope("bob@d"), attempt)[1].is_success
        slow.kill()

    def test_case_088_a_busy_mailbox_is_deferred_soon(self, make_relay, hang, make_envelope, attempt):
        relay = make_relay(hang, "{recipient}", mailbox_wait_s=0.2)
        first = gevent.spawn(relay.attempt, make_envelope("slow@d"), attempt)
        gevent.idle()

        second = relay.attempt(make_envelope("slow@d"), attempt)[1]

        assert "450 4.2.0" == coded(second)
        first.kill()

    def test_case_088_one_that_has_not_moved_for_as_long_is_deferred_at_once(
        self, context, started, hang, make_envelope, attempt
    ):
        clock = ManualClock()
        config = PipeConfig(command=(hang, "{recipient}"), mailbox_wait_s=60.0)
        relay = started(kinds.pipe(config, attrs.evolve(context, clock=clock)))
        first = gevent.spawn(relay.attempt, make_envelope("slow@d"), attempt)
        gevent.idle()
        clock.advance(60.0)

        with gevent.Timeout(30):
            second = relay.attempt(make_envelope("slow@d"), attempt)[1]

        assert "450 4.2.0" == coded(second)
        first.kill()

    def test_case_088_one_slow_user_cannot_hold_all_places_of_a_queue(
        self, context, hang, make_envelope, wait_until, tmp_path
    ):
        """Two places, five messages for the slow one first: the other's message still arrives."""
        config = PipeConfig(command=(hang, "{recipient}"), mailbox_wait_s=0.2, kill_grace_s=0.1)
        relay = kinds.pipe(config, context)
        clock = SystemClock()
        storage = MemoryStorage(clock)
        queue = Queue(
            QueueWiring(
                name="main",
                hostname="mx.example.test",
                storage=storage,
                routes=[Route(domains=None, relay="local")],
                relays={"local": BoundRelay(instance="local", relay=relay, concurrency=2)},
                retry=RetrySchedule((60.0,), jitter=0.0),
                lifetime_s=86_400.0,
                clock=clock,
                log=context.log,
            )
        )
        relay.start()
        queue.start()
        for _ in range(5):
            queue.accept(make_envelope("slow@d", received_at=clock.now()))
        queue.accept(make_envelope("bob@d", received_at=clock.now()))

        wait_until(lambda: ["bob@d"] in delivered(context.log), "the other's delivery")

        assert 1 == relay.health().facts["processes"]
        queue.stop()
        relay.stop()


def delivered(log):
    return [fields["rcpts"] for _, event, fields in log.written if event == "queue.delivered"]


class TestLife:
    def test_drain_waits_for_what_is_in_hand(self, make_relay, make_envelope, attempt):
        relay = make_relay("/bin/sleep", "0.2")
        job = gevent.spawn(relay.attempt, make_envelope("bob@d"), attempt)
        gevent.idle()

        is_empty = relay.drain(60.0)

        assert (True, "250 2.0.0") == (is_empty, coded(job.get(timeout=60)[1]))

    def test_drain_says_what_it_left(self, make_relay, make_envelope, attempt):
        relay = make_relay("/bin/sleep", "60")
        job = gevent.spawn(relay.attempt, make_envelope("bob@d"), attempt)
        gevent.idle()

        is_empty = relay.drain(0.05)

        assert not is_empty
        relay.stop()
        assert "451 4.3.0" == coded(job.get()[1])

    def test_while_it_drains_new_work_is_deferred(self, make_relay, make_envelope, attempt):
        relay = make_relay("/bin/true")
        relay.drain(0.0)

        assert "451 4.3.2" == coded(relay.attempt(make_envelope("bob@d"), attempt)[1])

    def test_stop_may_be_called_again(self, make_relay):
        relay = make_relay("/bin/true")

        relay.stop()
        relay.stop()

    def test_building_one_touches_nothing(self, context):
        kinds.pipe(PipeConfig(command=("/bin/true",)), context)

        assert not context.state_path.exists()

    def test_there_is_one_lane(self, make_relay, make_envelope):
        assert "" == make_relay("/bin/true").destination(make_envelope("bob@d"))

    def test_case_086_nothing_is_left_after_many_deliveries(self, make_relay, make_envelope, attempt, count_fds):
        relay = make_relay("/bin/cat", "-")
        relay.attempt(make_envelope("bob@d"), attempt)
        before = count_fds()

        def deliver_some(number):
            return [relay.attempt(make_envelope(f"user{number}@d"), attempt)[1].is_success for _ in range(10)]

        jobs = [gevent.spawn(deliver_some, number) for number in range(20)]

        assert [[True] * 10] * 20 == [job.get() for job in jobs]
        assert (before, 0) == (count_fds(), relay.health().facts["processes"])


def test_original_recipient_is_given(make_relay, show, make_envelope, attempt):
    recipient = Recipient(number=7, address="bob@d", original_address="info@d")

    replies = make_relay(show, "-a", "{original_recipient}").attempt(
        make_envelope("x@d", recipients=(recipient,)), attempt
    )

    assert {7: "550 5.1.1 Unknown user: <-a><info@d>"} == {number: str(reply) for number, reply in replies.items()}


def test_body_of_many_recipients_is_never_changed(make_relay, make_envelope, attempt):
    body = MemoryBody(b"Subject: x\r\n\r\n")

    make_relay("/bin/cat").attempt(make_envelope("a@d", "b@d", content=Content(body)), attempt)

    assert b"Subject: x\r\n\r\n" == body.data
