"""How a queue's facts are shown to people."""

import pytest

from mdacore.cli.queue.wording import HEAD, duration, entry_lines, row, size
from mdacore.contracts import QueueEntry, State
from mdacore.words import QueueId, Reply


@pytest.mark.parametrize(
    ("delay_s", "expected"),
    [
        (-5, "0s"),
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m"),
        (3599, "59m"),
        (3600, "1h"),
        (11_520, "3h12m"),
        (90_000, "1d1h"),
    ],
)
def test_duration_has_two_units_at_most(delay_s, expected):
    assert expected == duration(delay_s)


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [(0, "0"), (999, "999"), (1000, "1K"), (12_345, "12.3K"), (999_499, "999K"), (999_500, "1M"), (10**13, "10T")],
)
def test_size_has_six_characters_at_most(size_bytes, expected):
    assert expected == size(size_bytes)


def test_a_row_with_usual_values_fits_100_columns():
    entry = QueueEntry(
        queue_id=QueueId("74k80000000001"),
        queue="main",
        lane="local/",
        state=State.DUE,
        sender="somebody.with.a.long.name@mail.example.com",
        recipients=[("bob@example.test", Reply.parse("451 4.2.1 Mailbox busy"))],
        size_bytes=25_000_000,
        accepted_at=0.0,
        due_at=400_000.0,
        attempts=17,
    )

    lines = [row(HEAD, 15), *entry_lines(entry, 15, now=356_400.0)]

    assert 100 >= max(map(len, lines))
    expected = "74k80000000001      25M    4d3h   12h6m     17  main      somebody.with.a.long.name@mail.example.com"
    assert expected == lines[1]
