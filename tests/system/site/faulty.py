"""A plugin whose components do what they must not: at the place `at`, in the way `how`, for the first `times` calls."""

import os
import re
import sys
import time
from pathlib import Path

import attrs
import gevent

from mdacore import API_VERSION, Health, PolicyParts, Provider, Reply, Validators, hookimpl

PARTS = ("queue_policy", "relay_policy")


@attrs.frozen(kw_only=True)
class Config:
    """Which of its functions misbehaves, and how."""

    at: str = ""
    how: str = "raise"
    times: int = 1_000_000
    once_file: Path | None = None


class Faulty:
    """A component of any role; what is not told to misbehave works.

    Attributes:
        calls: how often the faulty function was called.
        files: what it has leaked.
    """

    def __init__(self, config, context):
        self._config = config
        self._path = context.resolve(Path("faulty"))
        self.calls = 0
        self.files = []
        if config.at == "build":
            self._misbehave()

    def start(self):
        self._may_misbehave("start")

    def drain(self, grace_s):
        self._may_misbehave("drain")
        return True

    def stop(self):
        self._may_misbehave("stop")

    def health(self):
        self._may_misbehave("health")
        return Health()

    def _may_misbehave(self, place):
        return self._misbehave() if place == self._config.at else None

    def _misbehave(self):
        self.calls += 1
        once = self._config.once_file
        if self.calls > self._config.times or (once and once.exists()):
            return None
        if once:
            once.touch()
        return getattr(self, f"_{self._config.how}")()

    def _raise(self):
        raise RuntimeError("on purpose")

    def _raise_base(self):
        raise BaseException("on purpose")  # noqa: TRY002 - the rarest of them

    def _interrupt(self):
        raise KeyboardInterrupt

    def _timeout(self):
        raise gevent.Timeout(1)

    def _exit(self):
        sys.exit(3)

    def _exit_at_once(self):
        os._exit(7)

    def _hang(self):
        gevent.sleep(3600)

    def _block(self):
        until = time.monotonic() + 3.0
        while time.monotonic() < until:
            pass

    def _block_for_good(self):
        re.match(r"(a|aa)+$", "a" * 35 + "b")

    def _leak(self):
        self.files.append(Path(os.devnull).open())  # noqa: SIM115 - it leaks


class Relay(Faulty):
    """Delivers into files in its folder, named after the message."""

    def attempt(self, envelope, attempt):
        rubbish = self._may_misbehave("attempt")
        if rubbish is not None:
            return rubbish
        self._path.mkdir(parents=True, exist_ok=True)
        (self._path / attempt.queue_id).write_bytes(b"".join(envelope.content.chunks()))
        return {recipient.number: Reply(code=250) for recipient in envelope.recipients}

    def destination(self, envelope):
        self._may_misbehave("destination")
        return ""


class Policy(Faulty):
    """Takes part where it misbehaves, and nowhere else."""

    def parts(self):
        self._may_misbehave("parts")
        at = self._config.at
        stages = {field.name for field in attrs.fields(Validators)}
        validators = Validators(**{at: self._check}) if at in stages else Validators(rcpt=lambda *_: None)
        parts = {name: getattr(self, f"_{name}") for name in PARTS if name == at}
        return PolicyParts(validators=validators, **parts)

    def _check(self, *_):
        return self._misbehave()

    def _queue_policy(self, envelope):
        self._misbehave()
        return [envelope]

    def _relay_policy(self, envelope, attempt):
        self._misbehave()
        return envelope


def check(config, context):
    """As every function of a plugin, it may be the faulty one."""
    if config.at == "check":
        raise RuntimeError("on purpose")
    return ()


@hookimpl
def mdacore_relays():
    """One kind."""
    yield Provider(kind="faulty", config=Config, build=Relay, api=API_VERSION, check=check)


@hookimpl
def mdacore_policies():
    """One kind."""
    yield Provider(kind="faulty", config=Config, build=Policy, api=API_VERSION, check=check)
