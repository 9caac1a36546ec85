"""Stores full of deferred messages, the service on one of them, and storages by themselves, all on a small scale."""

from __future__ import annotations

from pathlib import Path

import backlog
import pytest
import storage
from mdabench import stores
from mdabench.rounds import Plan, Ready

from mdacore_storage_shelve import open_shelf

SMALL = backlog.Case(name="small", messages=1200, size_bytes=600)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where stores are kept."""
    folder = tmp_path / "build"
    monkeypatch.setattr(stores, "BUILD", folder)
    return folder


def filled() -> Path:
    return stores.filled("shelve", messages=SMALL.messages, size_bytes=SMALL.size_bytes)


def queued(folder: Path) -> int:
    with open_shelf(folder) as shelf:
        return len(shelf)


class TestStores:
    def test_store_has_so_many_messages_of_that_size_each_with_its_own_body(self, build: Path) -> None:
        with open_shelf(filled()) as shelf:
            bodies = [envelope.content.body for envelope in shelf.values()]

        assert [SMALL.size_bytes] * SMALL.messages == [body.size_bytes for body in bodies]
        database = next(build.glob("*/queue.db"))
        assert SMALL.messages * SMALL.size_bytes < database.stat().st_size

    def test_store_is_filled_once(self, build: Path) -> None:
        first = (filled() / "queue.db").stat().st_ino

        assert first == (filled() / "queue.db").stat().st_ino

    def test_store_of_an_older_code_is_replaced(self, build: Path) -> None:
        outdated = build / f"store-shelve-{SMALL.messages}-{SMALL.size_bytes}-0123456789ab"
        outdated.mkdir(parents=True)

        assert [filled()] == list(build.iterdir())

    def test_copy_is_a_store_of_its_own(self, build: Path, tmp_path: Path) -> None:
        store = filled()

        stores.copy(store, tmp_path / "copy")
        (tmp_path / "copy" / "queue.db").unlink()

        assert SMALL.messages == queued(store)


@pytest.mark.needs("cc")
class TestBacklog:
    @pytest.mark.parametrize("target", [backlog.Full(), backlog.Empty()], ids=lambda target: target.name)
    def test_service_accepts_beside_what_waits(self, build: Path, tmp_path: Path, target: backlog.Empty) -> None:
        data = tmp_path / "data"
        data.mkdir()
        plan = Plan(targets=[target], cases=[SMALL], rounds=1, seconds=0.2, rest_s=0.0, data=tmp_path)

        values = backlog.measure(Ready(target=target, data=data), SMALL, plan).values

        assert 0 < values["rate"]
        assert 0 < values["start_s"] < 20
        assert values["memory_mb"] * 2**20 == pytest.approx(values["bytes_a_message"] * SMALL.messages)

    def test_nothing_of_it_is_delivered_meanwhile(self, build: Path, tmp_path: Path) -> None:
        """The store is as full at the end as it was at the start."""
        full = backlog.Full()
        (tmp_path / "data").mkdir()
        full.fill(tmp_path / "data" / "spool", SMALL)

        with backlog.running(full, tmp_path / "data") as server:
            backlog.first_accepted(server)

        assert SMALL.messages == queued(tmp_path / "data" / "spool")


class TestStorage:
    @pytest.mark.parametrize("kind", ["shelve", "disk"])
    def test_messages_are_written_by_all_callers(self, tmp_path: Path, kind: str) -> None:
        values = self.measured(tmp_path, kind, storage.Case(name="few", callers=5))

        assert 5 <= values["messages"]
        assert 0 < values["p50_ms"] <= values["p99_ms"]

    def test_written_messages_stay(self, tmp_path: Path) -> None:
        values = self.measured(tmp_path, "shelve", storage.Case(name="few", callers=5))

        assert values["messages"] + values["warm_up"] == queued(tmp_path / "spool")

    def test_settled_messages_are_gone(self, tmp_path: Path) -> None:
        self.measured(tmp_path, "shelve", storage.Case(name="few", callers=5, settles=True))

        assert 0 == queued(tmp_path / "spool")

    @pytest.mark.needs("cc")
    def test_no_call_returns_sooner_than_a_slow_sync(self, tmp_path: Path) -> None:
        case = storage.Case(name="slow", callers=5, sync_delay_ms=80.0)

        assert 80.0 <= self.measured(tmp_path, "shelve", case)["p50_ms"]

    def measured(self, tmp_path: Path, kind: str, case: storage.Case) -> dict[str, float]:
        side = storage.Side(kind)
        plan = Plan(targets=[side], cases=[case], rounds=1, seconds=0.2, rest_s=0.0, data=tmp_path)
        return dict(storage.measure(Ready(target=side, data=tmp_path), case, plan).values)
