"""One simulation: lives of the process over one disk, clients, an operator, and the look at everything in the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import gevent
from gevent.event import Event

from mdacore import Change, Client, Content, Envelope, MemoryBody, Recipient, SessionId, log
from mdacore.queue import BoundPolicy, BoundRelay, NoticeRules, Queue, QueueWiring, RetrySchedule, Route
from mdacore.runtime import Breaker
from queuesim.disk import Disk, Row
from queuesim.faults import Chance
from queuesim.ledger import PAUSE_MAX_S, Ledger
from queuesim.plan import Life, Message, Plan
from queuesim.policies import DEADLINE_S, SimulatedPolicies
from queuesim.relay import SimulatedRelay
from queuesim.storage import SimulatedStorage
from queuesim.virtual_time import BusyLoop, VirtualClock, VirtualHub, virtual_hub

PATIENCE_S = 4 * 86_400.0
"""How long a calm process may take for what is left: the clock may have been set back by a day."""
TRY_AGAIN_S = 300.0
"""A result that is stored may be tried again for so long: its outcome was unknown, or the storage hung."""
MAX_DEATHS = 8
"""How often two messages may end the process: twice among others and once alone, each, and chance does the rest."""
RELIEF_S = 330.0 + 60.0
"""How long the mail of a destination that is back may take from the probe on: the schedule's longest delay and more."""
QUICK_S = 20.0
"""How long mail for a healthy destination may take while another one is dead."""


@attrs.frozen
class Report:
    """What came of one seed."""

    plan: Plan
    problems: list[str]
    trace: list[str]

    @property
    def summary(self) -> str:
        """For whoever has to find out why."""
        problems = "\n".join(f"  {one}" for one in self.problems[:10])
        return (
            f"seed {self.plan.seed}: {len(self.problems)} problems\n{problems}\n"
            f"replay with its trace: python tests/simulation --seed {self.plan.seed} --trace"
        )


def simulate(plan: Plan) -> Report:
    """Run one plan in virtual time; the same plan gives the same report, line for line."""
    before = random.getstate()
    random.seed(plan.seed)  # the queue's jitter
    try:
        with virtual_hub() as hub:
            world = World(plan, hub)
            try:
                world.run()
            except (BusyLoop, gevent.hub.LoopExit) as error:
                world.ledger.must(False, repr(error))
            finally:
                world.end()
    finally:
        random.setstate(before)
    return Report(plan, world.ledger.problems, world.ledger.trace)


def simulate_seed(seed: int) -> Report:
    """Run the plan of one seed."""
    return simulate(Plan.of(seed))


class Process:
    """One life of the process: everything that is gone when it dies."""

    def __init__(self, world: World, life: Life) -> None:
        self.life = life
        self.is_calm = False
        self.is_dead = False
        self.is_poisoned = False
        self.died = Event()
        self._points_left = life.crash_point
        plan, chance = world.plan, world.chance
        self.storage = SimulatedStorage(
            world.disk, self, chance, plan.storage_faults, renew_every_s=plan.lease_s and plan.lease_s / 3
        )
        policies = SimulatedPolicies(world.disk, self, chance, world.ledger, plan.policy_faults)
        self.queue = Queue(world.wiring(self, policies))

    def point(self) -> None:
        """A place where the process may die."""
        if self._points_left is not None and not self.is_dead:
            self._points_left -= 1
            if self._points_left <= 0:
                self.die()
        if self.is_dead:
            raise gevent.GreenletExit

    def die(self, *, is_poisoned: bool = False) -> None:
        """Now, here. Raises GreenletExit."""
        self.is_dead = True
        self.is_poisoned = is_poisoned
        self.died.set()
        raise gevent.GreenletExit


class World:
    """Everything of one simulation."""

    def __init__(self, plan: Plan, hub: VirtualHub) -> None:
        self.plan = plan
        self.hub = hub
        self.loop = hub.loop
        self.clock = VirtualClock(hub.loop)
        self.chance = Chance(plan.seed)
        self.ledger = Ledger(
            concurrency=plan.concurrency,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
            has_leases=plan.lease_s is not None,
            is_poison=plan.is_poison,
            is_siege=plan.is_siege,
        )
        self.disk = Disk(self.clock, self.ledger, plan.lease_s)
        self.deaths = 0
        self._to_come = sorted(plan.messages, key=lambda message: message.at_s)
        self._accepted_at: dict[str, float] = {}
        self._ours: set[gevent.Greenlet[..., object]] = set()

    def wiring(self, process: Process, policies: SimulatedPolicies) -> QueueWiring:
        """The queue of one life, as the assembly would wire it."""
        plan = self.plan

        def bound(instance: str, *, by_domain: bool) -> BoundRelay:
            relay = SimulatedRelay(
                self.disk,
                process,
                self.chance,
                self.ledger,
                faults=plan.relay_faults,
                by_domain=by_domain,
                is_down=self._is_down,
            )
            breaker = Breaker(clock=self.clock, call="attempt") if plan.has_breaker else None
            return BoundRelay(
                instance=instance,
                relay=relay,
                concurrency=plan.concurrency,
                deadline_s=plan.deadline_s,
                breaker=breaker,
            )

        def policy(instance: str, apply: Callable[..., object]) -> BoundPolicy[Callable[..., object]]:
            return BoundPolicy(instance=instance, apply=apply, deadline_s=DEADLINE_S)

        has_policies = plan.has_policies
        return QueueWiring(
            name="main",
            hostname="mx.example.test",
            storage=process.storage,
            queue_policies=[policy(name, policies.at_queue) for name in ("first", "second")] if has_policies else [],
            relay_policies=[policy("third", policies.at_relay)] if has_policies else [],
            routes=[Route(domains=frozenset({"files.test"}), relay="files"), Route(domains=None, relay="onward")],
            relays={"files": bound("files", by_domain=False), "onward": bound("onward", by_domain=True)},
            retry=RetrySchedule((60.0, 300.0)),
            lifetime_s=plan.lifetime_s,
            claims_max=plan.claims_max,
            notice_rules=NoticeRules(delay_warning_s=plan.delay_warning_s),
            clock=self.clock,
            log=self.ledger.log,
        )

    def run(self) -> None:
        """All lives, one after the other, and one more: what is left must be what can be left."""
        for when_s, delay_s in self.plan.jumps:
            self._spawn(self._jump, when_s, delay_s)
        for life in self.plan.lives:
            while not self._live(life):
                self.ledger.must(self.deaths <= MAX_DEATHS, f"the same message ends the process again: {self.deaths}")
                if self.deaths > MAX_DEATHS:
                    return
        with self._process(Life(ends_calm=True)) as process:
            process.is_calm = True
            self._settle_down(process, with_orphans=True)
            self._check_room(process)
        self.ledger.check_all(self.disk.rows)
        self.ledger.must(not self.hub.errors, f"I1: greenlets died of {self.hub.errors}")
        if self.plan.is_fairness:
            self._check_fairness()
        if self.plan.is_siege:
            self._check_relief()

    def _live(self, life: Life) -> bool:
        """One life; False = it has to be lived once more, because a message has ended it."""
        with self._process(life) as process:
            process.died.wait(life.lasts_s)
            if life.ends_calm:
                process.is_calm = True
                self._settle_down(process)
        self.deaths += process.is_poisoned
        return not process.is_poisoned

    def end(self) -> None:
        """Whatever happened, no greenlet is left on the loop."""
        gevent.killall(self.loop.running, block=False)
        gevent.sleep(0)

    @contextmanager
    def _process(self, life: Life) -> Iterator[Process]:
        process = Process(self, life)
        self.ledger.note(f"-- start {life}")
        self.ledger.down.clear()
        self.disk.recover()
        process.queue.start()
        self._spawn(self._clients, process)
        for _ in range(self.plan.operations):
            self._spawn(self._operator, process)
        yield process
        if process.died.is_set() or life.crash_point is not None:
            self._crash(process)
        else:
            self._stop(process)

    def _crash(self, process: Process) -> None:
        process.is_dead = True
        self.ledger.note(f"-- crash at {self.loop.now():.3f} s")
        self.ledger.died(self.disk.rows)
        while self.loop.running:  # what catches the first kill is killed again; nothing of it has an effect any more
            gevent.killall(self.loop.running, block=False)
            gevent.sleep(0.001)

    def _stop(self, process: Process) -> None:
        """As the service does: edges first, then the queue; whoever outlives it is cut short."""
        self.ledger.note(f"-- stop at {self.loop.now():.3f} s")
        is_drained = process.queue.drain(process.life.grace_s)
        process.queue.stop()
        if process.is_calm:
            self.ledger.must(is_drained, "a calm queue did not drain")
        gevent.sleep(1.0)
        self._check_stopped(process)
        process.is_dead = True
        gevent.killall(self.loop.running, block=False)
        gevent.sleep(1.0)
        self.ledger.must(not self.loop.running, f"I1: greenlets are left after a stop: {self.loop.running}")
        self.ledger.must(not self.loop.active_timers, f"I1: {self.loop.active_timers} timers are left after a stop")

    def _check_stopped(self, process: Process) -> None:
        """Nothing of the queue's own runs on, and what was delivered is on record unless the storage prevented it."""
        left = [one for one in self.loop.running if one not in self._ours and one not in self._of_storage()]
        self.ledger.must(not left, f"I1: greenlets run on after a stop: {left}")
        for row in self.disk.rows.values():
            if row.is_claimed and (row.queue_id in process.storage.troubled or row.is_orphan):
                self.ledger.excuse(row, "the storage failed while the queue stopped")

    def _of_storage(self) -> list[gevent.Greenlet[..., object]]:
        return [one for one in self.loop.running if getattr(one, "_run", None).__module__ == "queuesim.storage"]

    def _settle_down(self, process: Process, *, with_orphans: bool = False) -> None:
        """Wait until nothing is left to do, and look whether the queue knows that too.

        A claim that a fault has hidden from everybody is only free after a restart, or when its lease ends.
        """
        began_s, step_s = self.loop.now(), 0.01
        while self._open_rows(with_orphans) or self._to_come or self._edges_running():
            process.died.wait(step_s)
            if process.is_poisoned:
                return
            step_s = min(2 * step_s, 60.0)
            if self.loop.now() - began_s > PATIENCE_S:
                self.ledger.must(False, f"stuck: {[row.queue_id for row in self._open_rows(with_orphans)]}")
                return
        gevent.sleep(TRY_AGAIN_S)
        facts = process.queue.health().facts
        self.ledger.must(not facts["unsettled"], f"idle, with {facts['unsettled']} claims unsettled")
        full = set(facts["full_lanes"]) - set(process.queue._lanes.suspended)
        self.ledger.must(not full, f"idle, with full lanes {full}")

    def _open_rows(self, with_orphans: bool) -> list[Row]:
        rows = [row for row in self.disk.rows.values() if row.is_claimed or not row.held]
        return [row for row in rows if with_orphans or not row.is_orphan]

    def _edges_running(self) -> bool:
        return any(not one.ready() for one in self._ours)

    def _check_room(self, process: Process) -> None:
        """No promise was lost: as many messages as may be are given their first attempt at once, in any lane."""
        held_back = Event()
        given = []
        wanted = min(self.plan.claims_max, self.plan.concurrency)
        write = process.storage.write

        def watched(messages, *, queue, key=""):
            given.extend(message.claim for message in messages)
            held_back.wait()
            return write(messages, queue=queue, key=key)

        process.storage.write = watched
        edges = [
            gevent.spawn(
                process.queue.accept,
                self._envelope(Message(token=f"last{n}", at_s=0, sender="", recipients=((f"last{n}@one.test", ()),))),
            )
            for n in range(wanted)
        ]
        gevent.sleep(200.0 if self.plan.has_policies else 0.1)
        held_back.set()
        gevent.joinall(edges)
        self.ledger.must(all(given), f"of {wanted} messages in an idle queue only {sum(given)} found room")
        self._settle_down(process)

    def _check_fairness(self) -> None:
        for message in self.plan.messages:
            if "dead.test" in message.recipients[0][0] or message.token not in self._accepted_at:
                continue
            took_s = self.ledger.delivered_at.get(message.token, 1e18) - self._accepted_at[message.token]
            self.ledger.must(took_s <= QUICK_S, f"fairness: {message.token} took {took_s:.0f} s")

    def _check_relief(self) -> None:
        """Once the destination is back its mail flows with the next probe, and what has been one by its schedule."""
        ((_, _, until_s),) = self.plan.outages
        ended_at = until_s + self.clock.now() - self.clock.monotonic()  # no siege has jumps
        for token, accepted_at in self._accepted_at.items():
            late_s = self.ledger.delivered_at.get(token, accepted_at) - max(ended_at, accepted_at)
            self.ledger.must(late_s <= PAUSE_MAX_S + RELIEF_S, f"relief: {token} took {late_s:.0f} s")

    # who is outside

    def _spawn(self, function: Callable[..., None], *args: object) -> None:
        greenlet = gevent.spawn(function, *args)
        self._ours.add(greenlet)

    def _clients(self, process: Process) -> None:
        while self._to_come:
            gevent.sleep(max(0.0, self._to_come[0].at_s - self.loop.now()))
            message = self._to_come.pop(0)
            edge = gevent.spawn(self._send, process, message)
            self._ours.add(edge)
            if message.killed_after_s is not None:
                self._ours.add(gevent.spawn_later(message.killed_after_s, edge.kill, block=False))

    def _send(self, process: Process, message: Message) -> None:
        """What an edge does with one message."""
        log.bind(session_id=message.token)
        self.ledger.note(f"{message.token} sent at {self.loop.now():.3f} s")
        timeout = gevent.Timeout.start_new(message.patience_s)
        try:
            replies = process.queue.accept(self._envelope(message))
        except (gevent.Timeout, gevent.GreenletExit) as interruption:
            if not process.is_dead:
                self.ledger.unanswered(message, f"left by its edge ({type(interruption).__name__})")
        else:
            if not process.is_dead:
                self._accepted_at[message.token] = self.clock.now()
                self.ledger.replied(message, replies)
        finally:
            timeout.close()

    def _is_down(self, lane: str) -> bool:
        now, domain = self.loop.now(), lane.partition("/")[2] or "files.test"
        return any(domain == down and at_s <= now < until_s for down, at_s, until_s in self.plan.outages)

    def _envelope(self, message: Message) -> Envelope:
        return Envelope(
            sender=message.sender,
            recipients=tuple(
                Recipient(number=number, address=address, notify=notify)
                for number, (address, notify) in enumerate(message.recipients)
            ),
            content=Content(MemoryBody(b"Subject: %s\r\n\r\nx\r\n" % message.token.encode())),
            client=Client(session_id=SessionId(message.token), edge="mx"),
            received_at=self.clock.now(),
        )

    def _operator(self, process: Process) -> None:
        gevent.sleep(self.chance.uniform(0.0, 100.0))
        ids = list(self.disk.rows)
        if ids and not process.is_dead and not process.is_calm:
            queue_id, change = self.chance.choice(ids), self.chance.choice(list(Change))
            is_done = self.disk.amend(queue_id, change)
            self.ledger.note(f"{queue_id} operator: {change.value} {is_done}")

    def _jump(self, when_s: float, delay_s: float) -> None:
        gevent.sleep(when_s)
        self.clock.jump(delay_s)
