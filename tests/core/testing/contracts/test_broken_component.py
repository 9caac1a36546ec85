"""For each rule that all components share a component that breaks it, and which the suite finds and names."""

from __future__ import annotations

import os
import time

import gevent
from gevent.threadpool import ThreadPool

from mdacore import Context, Health, Status
from mdacore.testing.component_contract import ComponentContract


class SoundComponent:
    """Holds a folder, a file in it, a greenlet and a thread."""

    def __init__(self, context: Context) -> None:
        self.path = context.state_path
        self.log = context.log
        self.fds: list[int] = []
        self.greenlet: gevent.Greenlet | None = None
        self.pool: ThreadPool | None = None

    def start(self) -> None:
        self.path.mkdir()
        self.fds.append(os.open(self.path, os.O_RDONLY))
        self.greenlet = gevent.spawn(gevent.sleep, 1000)
        self.pool = ThreadPool(1)
        self.pool.apply(int)
        self.log.info("component.started", path=str(self.path))

    def drain(self, grace_s: float) -> bool:
        return True

    def stop(self) -> None:
        while self.fds:
            os.close(self.fds.pop())
        if self.pool is not None:
            self.greenlet.kill()
            self.pool.kill()
            self.pool = None

    def health(self) -> Health:
        return Health(status=Status.OK, facts={"path": str(self.path), "fds": len(self.fds)})


class MakesItsFolderWhenBuilt(SoundComponent):
    def __init__(self, context):
        super().__init__(context)
        self.path.parent.joinpath("early").mkdir(exist_ok=True)


class RunsWhenBuilt(SoundComponent):
    def __init__(self, context):
        super().__init__(context)
        gevent.spawn(gevent.sleep, 1000)


class RunsBeforeItHasItsFolder(SoundComponent):
    def start(self):
        gevent.spawn(gevent.sleep, 1000)
        super().start()


class OpensTwoFiles(SoundComponent):
    """The second may fail; the first stays open then."""

    def start(self):
        self.fds.append(os.open("/dev/null", os.O_RDONLY))
        super().start()


class SaysNothingWhenDrained(SoundComponent):
    def drain(self, grace_s):
        pass


class KeepsItsFile(SoundComponent):
    def stop(self):
        self.fds.clear()
        super().stop()


class StopsOnce(SoundComponent):
    def stop(self):
        os.close(self.fds.pop())
        super().stop()


class StopsSlowly(SoundComponent):
    delay_s = 4.2

    def stop(self):
        delay_s, self.delay_s = self.delay_s, 0
        gevent.sleep(delay_s)
        super().stop()


class LooksHowItIs(SoundComponent):
    def health(self):
        return Health(facts={"exists": self.path.exists()})


class GivesItsPath(SoundComponent):
    def health(self):
        return Health(facts={"path": self.path})


class LogsSentences(SoundComponent):
    def start(self):
        super().start()
        self.log.info(f"started at {time.time()}")


BROKEN_COMPONENT = {
    "test_building_does_no_io": MakesItsFolderWhenBuilt,
    "test_building_leaves_nothing_running": RunsWhenBuilt,
    "test_a_start_without_a_state_folder_leaves_nothing_behind": RunsBeforeItHasItsFolder,
    "test_a_start_without_descriptors_leaves_nothing_behind": OpensTwoFiles,
    "test_drain_of_an_idle_component_says_at_once_that_nothing_is_left": SaysNothingWhenDrained,
    "test_stop_releases_everything": KeepsItsFile,
    "test_stop_may_be_called_again": StopsOnce,
    "test_stop_returns_soon": StopsSlowly,
    "test_health_is_told_from_memory": LooksHowItIs,
    "test_health_is_a_status_with_facts_that_json_can_say": GivesItsPath,
    "test_log_events_are_constants_and_what_varies_is_a_field": LogsSentences,
}


class ComponentSuite(ComponentContract):
    sound = SoundComponent
    proven_elsewhere = object
    broken = BROKEN_COMPONENT

    def make_component(self, context):
        return self.subject(context)


def test_the_suite_finds_and_names_what_is_broken(suite: str, rule: str, outcomes) -> None:
    assert (suite, rule, "broken") in outcomes.failures, outcomes.output


def test_a_sound_component_passes(outcomes) -> None:
    assert {} == {key: said for key, said in outcomes.failures.items() if "sound" in key}, outcomes.output


def test_every_rule_is_broken_by_somebody(unbroken_rules) -> None:
    assert {"ComponentSuite": set()} == unbroken_rules
