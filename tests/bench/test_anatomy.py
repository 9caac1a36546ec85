"""Where the time goes: files are put to the right package, and a real run counts what a message really costs."""

from __future__ import annotations

import anatomy
import pytest


class TestPackages:
    @pytest.mark.parametrize(
        ("file", "package"),
        [
            ("~", "functions in C"),
            ("", "functions in C"),
            ("/opt/m/core/src/mdacore/log.py", "mdacore"),
            ("/opt/m/core/src/mdacore/queue/queue.py", "mdacore/queue"),
            ("/opt/m/plugins/edge_smtp/src/mdacore_edge_smtp/session.py", "mdacore_edge_smtp"),
            ("/opt/m/plugins/edge_smtp/src/mdacore_edge_smtp/protocol/machine.py", "mdacore_edge_smtp/protocol"),
            ("<attrs generated methods mdacore.contracts.storage.Claim>", "mdacore/contracts"),
            ("<attrs generated methods mdacore_storage_shelve.jobs.Write>", "mdacore_storage_shelve"),
            ("/usr/lib/python3.11/site-packages/gevent/hub.py", "gevent"),
            ("/usr/lib/python3.11/site-packages/structlog/_base.py", "other libraries"),
            ("/usr/lib/python3.11/typing.py", "other libraries"),
            ("<frozen abc>", "other libraries"),
        ],
    )
    def test_each_file_has_one(self, file, package):
        assert package == anatomy._package(file)


@pytest.mark.needs("cc")
class TestRun:
    def test_it_tells_threads_and_packages_apart(self, capsys, monkeypatch):
        monkeypatch.setattr("sys.argv", ["anatomy", "--messages", "500"])

        assert 0 == anatomy.main()

        rows = dict(line.strip("| ").split(" | ", 1) for line in capsys.readouterr().out.splitlines() if "|" in line)
        loop_us, in_kernel_us = map(int, rows["the event loop's thread"].split(" | "))
        assert 0 < in_kernel_us < loop_us
        assert {"mdacore/queue", "mdacore_edge_smtp/protocol", "mdacore_storage_shelve", "functions in C"} <= set(rows)
        # The relay is asked for a destination and for an attempt, each message; both ways to count agree on that.
        assert 2 <= int(rows["mdacore_relay_blackhole"]) <= 4
