"""A plugin with a kind of policy for each place where a policy takes part; `tag` is the default."""

import attrs
from fake_parts import Inert

from mdacore import API_VERSION, PolicyParts, Provider, Reply, Validators, hookimpl


@attrs.frozen(kw_only=True)
class Config:
    """What it says."""

    text: str = attrs.field(default="tagged", metadata={"help": "What it says."})


class Tag(Inert):
    """Takes part in the queue."""

    def parts(self):
        return PolicyParts(queue_policy=lambda envelope: [envelope])


class Sign(Inert):
    """Takes part before each attempt."""

    def parts(self):
        return PolicyParts(relay_policy=lambda envelope, attempt: envelope)


class Ask(Inert):
    """Takes part in sessions."""

    def parts(self):
        return PolicyParts(validators=Validators(rcpt=self.rcpt))

    def rcpt(self, session, command):
        return Reply(code=550, enhanced="5.7.1", text=self.config.text)


@hookimpl
def mdacore_policies():
    """Three kinds."""
    yield Provider(kind="tag", config=Config, build=Tag, api=API_VERSION, default=True)
    yield Provider(kind="sign", config=Config, build=Sign, api=API_VERSION)
    yield Provider(kind="ask", config=Config, build=Ask, api=API_VERSION)
