"""Session ids."""

from __future__ import annotations

import re

from mdacore_edge_smtp.session_ids import SessionIds


def test_an_id_is_eleven_digits(clock):
    assert re.fullmatch(r"[0-9a-z]{11}", SessionIds(clock).next())


def test_ids_differ_while_the_clock_stands_and_when_it_goes_back(clock):
    ids = SessionIds(clock)
    found = [ids.next() for _ in range(100)]
    clock.jump(-3600)
    found += [ids.next() for _ in range(100)]

    assert found == sorted(set(found))


def test_ids_sort_by_time(clock):
    first = SessionIds(clock).next()
    clock.advance(0.001)

    assert first < SessionIds(clock).next()
