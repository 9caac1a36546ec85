"""Messages that were exported elsewhere, on their way into a queue."""

import pytest

from mdacore import Query, State, StorageFull
from mdacore.testing import make_envelope

KEY = "import 74k80000000001"


@pytest.fixture
def bench(bench):
    """One whose queue does not run."""
    bench.queue.stop()
    return bench


def restore(bench, *addresses, held="", key=KEY):
    envelope = make_envelope(*addresses or ["bob@example.test"])
    return bench.queue.restore(envelope, held=held, due_at=bench.clock.now(), key=key)


def entries(bench):
    return list(bench.storage.entries(Query()))


def test_it_is_stored_in_its_lane_and_due_without_a_queue_that_runs(bench):
    (queue_id,) = restore(bench)

    (entry,) = entries(bench)
    assert (queue_id, "local/", State.DUE, 0) == (entry.queue_id, entry.lane, entry.state, entry.attempts)


def test_the_same_key_is_the_same_message(bench):
    assert restore(bench) == restore(bench)

    assert 1 == len(entries(bench))


def test_what_was_held_is_held(bench):
    restore(bench, held="looks odd")

    assert ["looks odd"] == [entry.held for entry in entries(bench)]


def test_what_the_storage_refuses_is_refused(bench):
    bench.storage.fail_next["write"] = [StorageFull()]

    with pytest.raises(StorageFull):
        restore(bench)
