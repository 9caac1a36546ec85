"""What one seed stands for: messages, wiring, how much goes wrong, and how the process's lives end. Pure data."""

from __future__ import annotations

from random import Random

import attrs

DOMAINS = ("one.test", "two.test", "dead.test", "files.test")
"""`files.test` has a route and a relay of its own; the others share one, and are its destinations."""
BEHAVIOURS = ("ok", "ok", "ok", "ok", "later", "later", "never", "never", "stuck")


@attrs.frozen(kw_only=True)
class Message:
    """One message that a client will bring.

    Attributes:
        token: its name in every body, ``"m7"``; its recipients' local parts begin with it.
        at_s: when, in seconds of virtual time.
        patience_s: the edge gives up after so long (its own Timeout); None = never.
        killed_after_s: the edge's greenlet is killed after so long; None = it is not.
    """

    token: str
    at_s: float
    sender: str
    recipients: tuple[tuple[str, tuple[str, ...]], ...]
    patience_s: float | None = None
    killed_after_s: float | None = None


@attrs.frozen(kw_only=True)
class Life:
    """One run of the process.

    Attributes:
        crash_point: it dies at the so-manieth place where it may; None = it is stopped in an orderly way.
        lasts_s: it ends after this time at the latest.
        grace_s: how long its `drain` waits.
        ends_calm: then nothing goes wrong any more, and it goes on until nothing is left to do.
    """

    crash_point: int | None = None
    lasts_s: float = 600.0
    grace_s: float = 5.0
    ends_calm: bool = False


@attrs.frozen(kw_only=True)
class Plan:
    """One run of the simulation.

    Attributes:
        storage_faults, relay_faults, policy_faults: the probability that one call goes wrong.
        operations: how many times an operator changes something.
        lease_s: how long a claim lasts unless it is renewed; None = as long as its process.
        delay_warning_s: how old a message is when its sender is warned; 0 = never.
        jumps: moments and lengths of the wall clock's jumps.
        outages: domains with the moments from and until when they are down, whatever else is calm.
        is_fairness: only ``dead.test`` misbehaves, and mail for others must be quick.
        is_poison: nothing ends the process but attempts for recipients that are ``poison``; only these may be held.
        is_siege: one destination is down for hours, and nothing else goes wrong: all that waits for it is looked at in
            time, and flows when it is back.
    """

    seed: int
    messages: tuple[Message, ...]
    lives: tuple[Life, ...]
    concurrency: int
    claims_max: int
    lifetime_s: float
    deadline_s: float
    storage_faults: float = 0.0
    relay_faults: float = 0.0
    policy_faults: float = 0.0
    has_policies: bool = False
    has_breaker: bool = False
    operations: int = 0
    lease_s: float | None = None
    delay_warning_s: float = 0.0
    jumps: tuple[tuple[float, float], ...] = ()
    outages: tuple[tuple[str, float, float], ...] = ()
    is_fairness: bool = False
    is_poison: bool = False
    is_siege: bool = False

    @classmethod
    def of(cls, seed: int) -> Plan:
        """The plan of a seed; each tenth one is about fairness, each tenth about poison; one in eighty is a siege."""
        chance = Random(f"plan {seed}")
        if seed % 80 == 7:
            return _siege(seed, chance)
        return {9: _fairness, 8: _poison}.get(seed % 10, _mixed)(seed, chance)


def _mixed(seed: int, chance: Random) -> Plan:
    lifetime_s = chance.choice([900.0, 3600.0, 86_400.0])
    behaviours = BEHAVIOURS if lifetime_s < 86_400 else tuple(one for one in BEHAVIOURS if one != "stuck")
    horizon_s = chance.choice([1.0, 60.0, 2000.0])
    count = chance.choice([1, 2, 3, 5, 8, 15])
    rates = (0.0, 0.0, 0.02, 0.1, 0.3)
    return Plan(
        seed=seed,
        messages=tuple(_message(number, chance, horizon_s, behaviours) for number in range(count)),
        lives=(
            *(_life(chance) for _ in range(chance.choice([0, 1, 1, 2, 3, 6]))),
            Life(lasts_s=chance.choice([0.0, 1.0, 100.0, 1000.0]), ends_calm=True),
        ),
        concurrency=chance.choice([1, 2, 3]),
        claims_max=chance.choice([1, 2, 4, 8, 1000]),
        lifetime_s=lifetime_s,
        deadline_s=30.0,
        storage_faults=chance.choice(rates),
        relay_faults=chance.choice(rates),
        policy_faults=chance.choice(rates),
        has_policies=chance.random() < 0.5,
        has_breaker=chance.random() < 0.3,
        operations=chance.choice([0, 0, 1, 4]),
        delay_warning_s=chance.choice([0.0, 30.0, 600.0]),
        lease_s=chance.choice([None, None, None, 60.0]),
        jumps=tuple(
            (chance.uniform(0, horizon_s), chance.choice([-86_400.0, -7200.0, 86_400.0, 3600.0]))
            for _ in range(chance.choice([0, 0, 0, 0, 1, 2]))
        ),
        outages=tuple(
            (domain, at_s := chance.uniform(0, horizon_s), at_s + chance.choice([1.0, 60.0, 600.0, 3000.0]))
            for domain in chance.choice([(), (), DOMAINS[:1], DOMAINS[1:]])
        ),
    )


def _life(chance: Random) -> Life:
    crash_point = chance.choice([None, chance.randrange(1, 12), chance.randrange(1, 60), chance.randrange(1, 300)])
    return Life(
        crash_point=crash_point,
        lasts_s=chance.choice([0.05, 1.0, 30.0, 700.0]),
        grace_s=chance.choice([0.0, 1.0, 60.0]),
    )


def _message(number: int, chance: Random, horizon_s: float, behaviours: tuple[str, ...]) -> Message:
    token = f"m{number}"
    recipients = []
    for index in range(chance.choice([1, 1, 2, 3, 5])):
        notify = chance.choice([(), (), (), ("NEVER",), ("SUCCESS",), ("FAILURE", "DELAY")])
        recipients.append((f"{token}.{index}.{chance.choice(behaviours)}@{chance.choice(DOMAINS)}", notify))
    if chance.random() < 0.2:
        recipients.append(recipients[0])
    return Message(
        token=token,
        at_s=chance.uniform(0, horizon_s),
        sender=chance.choice(["", f"{token}.sender.ok@{chance.choice(DOMAINS)}", f"{token}.sender.later@one.test"]),
        recipients=tuple(recipients),
        patience_s=chance.uniform(0, 0.2) if chance.random() < 0.1 else None,
        killed_after_s=chance.uniform(0, 0.2) if chance.random() < 0.1 else None,
    )


def _fairness(seed: int, chance: Random) -> Plan:
    """Plenty for the dead destination first, and a little for the others throughout."""
    messages = []
    for number in range(60):
        is_dead = chance.random() < 0.8
        domain = "dead.test" if is_dead else chance.choice(["one.test", "two.test", "files.test"])
        behaviour = "hang" if is_dead else "ok"
        address = f"m{number}.0.{behaviour}@{domain}"
        at_s = chance.uniform(0, 5) if is_dead else chance.uniform(0, 120)
        messages.append(
            Message(token=f"m{number}", at_s=at_s, sender="m.sender.ok@one.test", recipients=((address, ()),))
        )
    return Plan(
        seed=seed,
        messages=tuple(messages),
        lives=(Life(lasts_s=150.0, grace_s=60.0), Life(lasts_s=0, ends_calm=True)),
        concurrency=chance.choice([1, 3]),
        claims_max=chance.choice([16, 1000]),
        lifetime_s=86_400.0,
        deadline_s=30.0,
        is_fairness=True,
    )


def _poison(seed: int, chance: Random) -> Plan:
    """One or two messages whose attempt ends the process, among others."""
    horizon_s = chance.choice([0.1, 60.0, 600.0])
    messages = [_message(number, chance, horizon_s, ("ok", "ok", "later", "never")) for number in range(8)]
    for number in range(chance.choice([1, 1, 2])):
        address = f"poison{number}.0.poison@{chance.choice(DOMAINS)}"
        messages.append(
            Message(
                token=f"poison{number}",
                at_s=chance.uniform(0, horizon_s),
                sender="poison.sender.ok@one.test",
                recipients=((address, ()),),
            )
        )
    return Plan(
        seed=seed,
        messages=tuple(messages),
        lives=(Life(lasts_s=0.0, ends_calm=True),),
        concurrency=chance.choice([1, 2, 3]),
        claims_max=chance.choice([2, 8, 1000]),
        lifetime_s=86_400.0,
        deadline_s=30.0,
        is_poison=True,
    )


def _siege(seed: int, chance: Random) -> Plan:
    """More for a dead destination than one claim takes, and a little for the others as long as it lasts."""
    began_s = chance.uniform(0, 10)
    until_s = began_s + chance.choice([1.5, 3.0, 3.0]) * 3600
    times = [("dead.test", chance.choice([chance.uniform(0, 60), chance.uniform(0, until_s)])) for _ in range(70)]
    times += [(chance.choice(["one.test", "two.test", "files.test"]), chance.uniform(0, until_s)) for _ in range(15)]
    messages = tuple(
        Message(token=f"m{n}", at_s=at_s, sender="m.sender.ok@one.test", recipients=((f"m{n}.0.ok@{domain}", ()),))
        for n, (domain, at_s) in enumerate(times)
    )
    return Plan(
        seed=seed,
        messages=messages,
        lives=(Life(lasts_s=until_s, ends_calm=True),),
        concurrency=chance.choice([1, 3]),
        claims_max=chance.choice([8, 8, 16, 1000]),
        lifetime_s=chance.choice([3600.0, 14_400.0, 86_400.0]),
        deadline_s=30.0,
        has_breaker=chance.random() < 0.5,
        delay_warning_s=chance.choice([0.0, 600.0, 7200.0]),
        lease_s=chance.choice([None, 60.0]),
        outages=(("dead.test", began_s, until_s),),
        is_fairness=True,
        is_siege=True,
    )
