"""The order in which a service starts and stops, and what is left after a start that failed.

A service needs gevent's patch before anything else is imported, so each scenario runs as a script of its own.
"""

from __future__ import annotations

import subprocess
import sys

PRELUDE = """
from gevent import monkey; monkey.patch_all()
from pathlib import Path
from types import SimpleNamespace
from mdacore import Health, StartError
from mdacore.assembly.config import ServiceKeys
from mdacore.assembly.spawning import SpawnRegistry
from mdacore.service import Service

class Part:
    def __init__(self, name, **faults):
        self.name, self.faults = name, faults
    def _note(self, step):
        print(step, self.name)
        if step in self.faults:
            raise self.faults[step]
    def bind(self): self._note("bind")
    def start(self): self._note("start")
    def drain(self, grace_s): self._note("drain"); return True
    def stop(self): self._note("stop")
    def health(self): return Health()
    addresses = ()

class Assembly:
    spawning = SpawnRegistry()
    plan = SimpleNamespace(settings=SimpleNamespace(service=ServiceKeys(control=""), state_path=Path("/")))
    def __init__(self, *parts, edges):
        self.edges = {edge.name: edge for edge in edges}
        self._parts = parts
    def components(self):
        return [(part.name, part) for part in (*self._parts, *self.edges.values())]
"""


def run(scenario: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", PRELUDE + scenario], capture_output=True, text=True, timeout=120)
    assert 0 == done.returncode, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith(("bind ", "start ", "drain ", "stop ", "! "))]


class TestStart:
    def test_edges_bind_first_and_accept_last(self):
        steps = run('Service(Assembly(Part("storage"), Part("queue"), edges=[Part("edge")])).start()')

        assert ["bind edge", "start storage", "start queue", "start edge"] == steps

    def test_a_part_that_cannot_start_is_named_and_the_others_are_stopped_in_reverse(self):
        steps = run("""
parts = Part("storage"), Part("relay"), Part("queue", start=OSError("no way"))
try:
    Service(Assembly(*parts, edges=[Part("edge")])).start()
except StartError as error:
    print("!", error.component, "|", error)
""")

        assert ["stop relay", "stop storage", "stop edge", "! queue | queue: no way"] == steps[4:]

    def test_a_port_that_is_taken_starts_nothing(self):
        steps = run("""
try:
    Service(Assembly(Part("storage"), edges=[Part("a"), Part("b", bind=OSError("in use"))])).start()
except StartError as error:
    print("!", error)
""")

        assert ["bind a", "bind b", "stop a", "! b: in use"] == steps

    def test_without_the_patch_it_refuses_in_one_sentence(self):
        scenario = (
            PRELUDE.replace("from gevent import monkey; monkey.patch_all()", "") + "Service(Assembly(edges=[])).start()"
        )

        done = subprocess.run([sys.executable, "-c", scenario], capture_output=True, text=True, timeout=120)

        assert "RuntimeError: mdacore needs gevent's monkey patch" in done.stderr


class TestEnd:
    def test_edges_drain_first_and_everything_stops_in_reverse(self):
        steps = run("""
service = Service(Assembly(Part("storage"), Part("queue"), edges=[Part("edge")]))
service.start()
service.drain(5.0)
service.stop()
service.stop()
""")

        assert ["drain edge", "drain queue", "drain storage", "stop edge", "stop queue", "stop storage"] == steps[4:]

    def test_a_part_that_fails_to_stop_does_not_keep_the_others(self):
        steps = run("""
service = Service(Assembly(Part("storage"), Part("queue", drain=ValueError("x"), stop=ValueError("y")), edges=[]))
service.start()
service.drain(5.0)
service.stop()
""")

        assert ["drain queue", "drain storage", "stop queue", "stop storage"] == steps[2:]
