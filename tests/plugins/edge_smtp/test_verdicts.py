"""From many opinions to one reply."""

from __future__ import annotations

import errno
import itertools

import pytest

from mdacore import Reply
from mdacore_edge_smtp.verdicts import reply_for_all, reply_to_disk_error, verdict

DEFAULT = Reply(code=250, enhanced="2.1.5", text="Ok")
NO = Reply(code=550, enhanced="5.7.1", text="No")
LATER = Reply(code=451, enhanced="4.7.1", text="Later")
FINE = Reply(code=250, enhanced="2.0.0", text="Fine")


class TestVerdict:
    def test_without_an_opinion_it_is_the_default(self):
        assert DEFAULT is verdict((), DEFAULT)
        assert DEFAULT is verdict([lambda: None, lambda: None], DEFAULT)

    def test_the_first_refusal_wins(self):
        assert LATER is verdict([lambda: None, lambda: LATER, lambda: NO, lambda: FINE], DEFAULT)

    def test_all_are_asked_with_the_same_arguments(self):
        asked: list[object] = []

        verdict([lambda *given: asked.append(given), lambda *given: asked.append(given) or NO] * 2, DEFAULT, 1, 2)

        assert [(1, 2)] * 4 == asked

    def test_a_success_replaces_only_the_text(self):
        assert Reply(code=250, enhanced="2.1.5", text="Fine") == verdict([lambda: FINE], DEFAULT)

    def test_a_success_does_not_outweigh_a_refusal(self):
        assert NO is verdict([lambda: FINE, lambda: NO], DEFAULT)


class TestReplyForAll:
    def test_equal_replies_give_that_reply(self):
        assert FINE is reply_for_all([FINE, FINE])

    @pytest.mark.parametrize("replies", list(itertools.permutations([FINE, NO, LATER])))
    def test_a_transient_failure_is_told_before_a_permanent_one_and_before_success(self, replies):
        assert LATER is reply_for_all(replies)

    @pytest.mark.parametrize("replies", [[FINE, NO], [NO, FINE]])
    def test_success_for_some_is_not_told_as_success_for_all(self, replies):
        assert NO is reply_for_all(replies)


@pytest.mark.parametrize(
    ("number", "codes"), [(errno.ENOSPC, "452 4.3.1"), (errno.EDQUOT, "452 4.3.1"), (errno.EIO, "451 4.3.0")]
)
def test_a_full_disk_is_told_as_such_and_any_other_failure_is_not(number, codes):
    assert str(reply_to_disk_error(OSError(number, "disk"))).startswith(codes)
