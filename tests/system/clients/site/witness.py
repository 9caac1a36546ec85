"""A policy that knows users and their passwords, and logs how each message came: what a client really did."""

from collections.abc import Mapping

import attrs

from mdacore import API_VERSION, Health, Identity, PolicyParts, Provider, Validators, hookimpl


@attrs.frozen(kw_only=True)
class Config:
    """Users and their passwords."""

    users: Mapping[str, str] = attrs.field(factory=dict)


class Witness:
    """Asked at the ends of AUTH and of a message; it refuses nothing."""

    def __init__(self, config, context):
        self._users = config.users
        self._log = context.log

    def parts(self):
        return PolicyParts(validators=Validators(auth=self.know, message=self.note))

    def know(self, session, credentials, /):
        is_right = self._users.get(credentials.authcid) == credentials.secret
        return Identity(name=credentials.authcid) if is_right else None

    def note(self, session, envelope, /):
        self._log.info(
            "witness.seen",
            is_tls=session.is_tls,
            client=attrs.asdict(envelope.client),
            sender=envelope.sender,
            recipients=[attrs.asdict(recipient) for recipient in envelope.recipients],
            body_type=envelope.body_type,
            dsn=[envelope.dsn_return, envelope.dsn_envelope_id],
        )

    def start(self):
        pass

    def drain(self, grace_s):
        return True

    def stop(self):
        pass

    def health(self):
        return Health()


@hookimpl
def mdacore_policies():
    yield Provider(kind="witness", config=Config, build=Witness, api=API_VERSION)
