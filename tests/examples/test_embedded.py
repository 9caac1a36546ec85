"""The example that assembles a service in a script works as its text says."""

from __future__ import annotations

import json
import signal
import smtplib
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/embedded.py"
PATIENCE_S = 120.0


@pytest.fixture
def service(tmp_path):
    """The example as a process; gives its port."""
    process = subprocess.Popen([sys.executable, str(EXAMPLE), str(tmp_path), "0"], stdout=subprocess.PIPE)
    try:
        started = next(event for event in map(json.loads, process.stdout) if event["event"] == "service.started")
        yield int(started["addresses"]["edges.mx"][0].rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        process.stdout.close()
        assert 0 == process.wait(PATIENCE_S)


def test_it_delivers_to_staff_and_refuses_others(service, tmp_path):
    with smtplib.SMTP("127.0.0.1", service) as client:
        refused = client.sendmail(
            "a@example.org", ["alice@example.test", "eve@example.test"], b"Subject: x\r\n\r\nhello\r\n"
        )

    assert {"eve@example.test": (550, b"5.1.1 No such user here")} == refused
    end = time.monotonic() + PATIENCE_S
    while not (arrived := list(tmp_path.glob("maildirs/*/*/new/*"))) and time.monotonic() < end:
        time.sleep(0.01)  # another process's progress
    assert ["alice"] == [path.parent.parent.name for path in arrived]
