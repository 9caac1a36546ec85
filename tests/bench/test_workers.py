"""The processes that do what `lda` and `maildir` measure: that both sides do the same, and that failures are seen."""

from __future__ import annotations

from pathlib import Path

import lda
import pytest
from lda import Case, Loop, Mdacore
from mdabench import worker
from mdabench.dovecot import Dovecot
from mdabench.server import Failed

RECORDER = """#!/bin/sh
exec >"$0.$RECIPIENT.$$"
printf '%s\\0' "$@"
env -0 | sort -z
cat
"""
LIMIT_S = 120.0


@pytest.fixture
def recorder(tmp_path: Path) -> Path:
    """In the place of dovecot-lda: writes down its arguments, its environment and its standard input."""
    program = tmp_path / "recorder"
    program.write_text(RECORDER)
    program.chmod(0o755)
    return program


def recorded(recorder: Path) -> list[bytes]:
    """What was written down for one recipient, each variant once; then it is forgotten."""
    paths = list(recorder.parent.glob("recorder.user7@example.test.*"))
    texts = {path.read_bytes() for path in paths}
    for path in paths:
        path.unlink()
    return sorted(texts)


class TestSameWork:
    def test_relay_and_loop_run_the_same_command_with_the_same_environment_and_input(self, tmp_path, recorder):
        """The ratio says what the relay costs, and nothing else."""
        served = Dovecot(config=tmp_path / "dovecot.conf", lda=str(recorder), mail=tmp_path)
        seen = []

        for side in (Mdacore(), Loop()):
            name, want = side.work(served, Case(name="same"), tmp_path)
            got = worker.run(name, want | {"concurrency": 20, "seconds": 0.05}, data=tmp_path, limit_s=LIMIT_S)
            seen.append(recorded(recorder))
            assert 100 == got["warm_up"]
            assert 0 < got["deliveries"]

        relay, loop = seen
        assert 1 == len(loop)
        assert b"-d\0user7@example.test\0-e\0-c\0" in loop[0]
        assert relay == loop

    def test_ballast_is_in_memory(self, tmp_path):
        served = Dovecot(config=tmp_path, lda="", mail=tmp_path)
        name, want = Mdacore().work(served, Case(name="big", program="/bin/true", ballast_bytes=200_000_000), tmp_path)

        got = worker.run(name, want | {"concurrency": 2, "seconds": 0.05}, data=tmp_path, limit_s=LIMIT_S)

        assert 200 < got["held_mb"] < 400


class TestFailures:
    @pytest.mark.parametrize("side", [Mdacore(), Loop()], ids=lambda side: side.name)
    def test_delivery_that_fails_is_a_failure_and_no_number(self, tmp_path, side):
        served = Dovecot(config=tmp_path, lda="", mail=tmp_path)
        name, want = side.work(served, Case(name="fails", program="/bin/false"), tmp_path)

        with pytest.raises(Failed, match="ended with 1: "):
            worker.run(name, want | {"concurrency": 2, "seconds": 0.05}, data=tmp_path, limit_s=LIMIT_S)

    def test_worker_that_hangs_is_ended(self, tmp_path):
        served = Dovecot(config=tmp_path, lda="", mail=tmp_path)
        name, want = Loop().work(served, Case(name="hangs", program="/usr/bin/yes"), tmp_path)

        with pytest.raises(Failed, match=r"has not ended in 0\.3 s"):
            worker.run(name, want | {"concurrency": 1, "seconds": 0.05}, data=tmp_path, limit_s=0.3)


@pytest.mark.needs("dovecot")
class TestLda:
    @pytest.mark.parametrize("side", [Mdacore(), Loop()], ids=lambda side: side.name)
    def test_what_was_counted_is_in_the_mailboxes(self, public_folder, side):
        plan = lda.Plan(
            targets=[side], cases=[lda.CASES["lda"]], rounds=1, seconds=0.2, rest_s=0.0, data=public_folder.parent
        )

        with lda.live(side, public_folder) as alive:
            measured = lda.measure(alive, lda.CASES["lda"], plan)

        assert 0 < measured.values["rate"]
        assert 0 < measured.values["own_cpu_us"] < measured.values["children_cpu_us"]
