"""Validators, compiled: order, faults, and what each policy's `on_error` makes of them."""

import gevent
import pytest

from mdacore import (
    LOCAL_ERROR,
    Deferral,
    Discard,
    Identity,
    MdaError,
    Rejection,
    Reply,
    StorageError,
    Validators,
)
from mdacore.assembly.chain import BoundValidators, compile_chain, stages_of
from mdacore.runtime import Breaker, Fence
from mdacore.testing import ManualClock

OK = Reply(code=250, text="fine")
NO = Reply(code=550, enhanced="5.7.1", text="no")
LATER = Reply(code=450, enhanced="4.7.1", text="later")
REFUSED = Reply(code=554, enhanced="5.3.0", text="Refused")


class Log:
    """Remembers the errors."""

    def __init__(self):
        self.errors = []

    def error(self, event, **fields):
        self.errors.append((event, fields))

    def warning(self, event, **fields):
        """Not looked at."""


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def bind(log):
    def make(validators, *, on_error="defer", deadline_s=None):
        fence = Fence(instance="policies.x", log=log, deadline_s=deadline_s)
        return BoundValidators(validators=validators, fence=fence, on_error=on_error)

    return make


def answering(answer):
    return lambda *_: answer


def raising(error):
    def check(*_):
        raise error

    return check


class TestOrder:
    def test_each_stage_has_the_checks_of_the_policies_that_speak_there_in_their_order(self, bind):
        chain = compile_chain(
            [
                bind(Validators(rcpt=answering(OK), helo=answering(None))),
                bind(Validators(mail=answering(NO))),
                bind(Validators(rcpt=answering(NO))),
            ]
        )

        assert [OK, NO] == [check(None, None) for check in chain.rcpt]
        assert (1, 1, 0) == (len(chain.helo), len(chain.mail), len(chain.connect))

    def test_arguments_are_passed_on(self, bind):
        seen = []
        chain = compile_chain([bind(Validators(rcpt=lambda session, command: seen.append((session, command))))])

        chain.rcpt[0]("session", "command")

        assert [("session", "command")] == seen

    def test_stages_of_a_policy_are_in_the_order_of_a_session(self):
        assert ("connect", "rcpt", "tls") == stages_of(Validators(tls=print, rcpt=print, connect=print))
        assert () == stages_of(None)


class TestAnswers:
    @pytest.mark.parametrize("answer", [None, OK, NO, LATER])
    def test_legal_answer_is_passed_on(self, bind, log, answer):
        (check,) = compile_chain([bind(Validators(rcpt=answering(answer)))]).rcpt

        assert answer == check(None, None)
        assert [] == log.errors

    def test_identity_is_an_answer_to_auth_only(self, bind):
        chain = compile_chain(
            [bind(Validators(auth=answering(Identity(name="a")), rcpt=answering(Identity(name="a"))))]
        )

        assert Identity(name="a") == chain.auth[0](None, None)
        assert LOCAL_ERROR == chain.rcpt[0](None, None)

    @pytest.mark.parametrize("answer", [True, "550 no", 0, Reply(code=354)])
    def test_any_other_answer_is_a_fault_that_is_logged_without_the_answer(self, bind, log, answer):
        (check,) = compile_chain([bind(Validators(data=answering(answer)))]).data

        assert LOCAL_ERROR == check(None)
        ((event, fields),) = log.errors
        assert ("plugin.failed", "policies.x") == (event, fields["component"])
        assert f"answered a {type(answer).__name__} at data" == fields["error"]


class TestFaults:
    @pytest.mark.parametrize(("on_error", "reply"), [("defer", LOCAL_ERROR), ("accept", None), ("reject", REFUSED)])
    @pytest.mark.parametrize(
        "error",
        [ZeroDivisionError(), SystemExit(1), MdaError("x"), StorageError("x"), Discard("x"), gevent.Timeout(1)],
        ids=lambda error: type(error).__name__,
    )
    def test_check_that_raises_is_settled_by_on_error_and_logged(self, bind, log, on_error, reply, error):
        (check,) = compile_chain([bind(Validators(rcpt=raising(error)), on_error=on_error)]).rcpt

        assert reply == check(None, None)
        assert ["plugin.failed"] == [event for event, _ in log.errors]

    @pytest.mark.parametrize("verdict", [Rejection(NO), Deferral(LATER)], ids=["rejection", "deferral"])
    def test_verdict_that_is_raised_counts_as_if_it_were_returned(self, bind, log, verdict):
        (check,) = compile_chain([bind(Validators(rcpt=raising(verdict)), on_error="accept")]).rcpt

        assert verdict.reply == check(None, None)
        assert [] == log.errors

    def test_check_that_overruns_is_settled_by_on_error(self, bind, log):
        bound = bind(Validators(rcpt=lambda *_: gevent.sleep(60)), on_error="reject", deadline_s=0.01)
        (check,) = compile_chain([bound]).rcpt

        assert REFUSED == check(None, None)
        assert ["plugin.overran"] == [event for event, _ in log.errors]

    def test_deadline_of_the_session_itself_goes_through(self, bind):
        (check,) = compile_chain([bind(Validators(rcpt=raising(gevent.GreenletExit())))]).rcpt

        with pytest.raises(gevent.GreenletExit):
            check(None, None)


class TestSwitchedOff:
    def test_each_stage_has_a_breaker_of_its_own(self, log):
        """A stage that works neither hides one that fails nor falls with it."""
        made = {}
        bound = BoundValidators(
            validators=Validators(rcpt=raising(ValueError()), helo=answering(OK)),
            fence=Fence("policies.x", log),
            on_error="reject",
            breaker=lambda stage: made.setdefault(stage, Breaker(clock=ManualClock(), call=stage)),
        )
        chain = compile_chain([bound])

        replies = [(chain.helo[0](None, None), chain.rcpt[0](None, None)) for _ in range(6)]

        assert [(OK, REFUSED)] * 6 == replies
        assert (False, True) == (made["helo"].is_off, made["rcpt"].is_off)
        assert 3 == len(log.errors)

    @pytest.mark.parametrize("answer", [True, Reply(code=354), "550 no"], ids=repr)
    def test_useless_answers_are_faults(self, log, answer):
        breaker = Breaker(clock=ManualClock(), call="data")
        bound = BoundValidators(
            validators=Validators(data=answering(answer)),
            fence=Fence("policies.x", log),
            on_error="defer",
            breaker=lambda _: breaker,
        )
        (check,) = compile_chain([bound]).data

        assert [LOCAL_ERROR] * 6 == [check(None) for _ in range(6)]

        assert breaker.is_off
