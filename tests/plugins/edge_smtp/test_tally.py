"""How often each has done something lately."""

from __future__ import annotations

from mdacore_edge_smtp.tally import MAX_KEYS, Tally


class TestTally:
    def test_one_more_than_the_limit_is_too_many(self):
        tally = Tally(2, 60.0)

        assert [False, False, True, True] == [tally.count("a", 10.0) for _ in range(4)]

    def test_each_is_counted_by_itself(self):
        tally = Tally(1, 60.0)

        assert [False, False] == [tally.count(key, 10.0) for key in "ab"]

    def test_a_new_period_begins_anew(self):
        tally = Tally(1, 60.0)
        tally.count("a", 10.0)

        assert tally.count("a", 69.9)
        assert not tally.count("a", 70.0)

    def test_what_is_used_up_can_be_told_without_counting(self):
        tally = Tally(2, 60.0)
        tally.count("a", 10.0)

        assert [False, False] == [tally.is_used_up("a", 10.0) for _ in range(2)]
        tally.count("a", 10.0)
        assert tally.is_used_up("a", 10.0)
        assert not tally.is_used_up("a", 70.0)

    def test_it_never_knows_more_than_its_limit_of_keys(self):
        tally = Tally(1, 60.0)

        for number in range(MAX_KEYS + 10):
            tally.count(str(number), 10.0)

        assert len(tally._counts) <= MAX_KEYS
