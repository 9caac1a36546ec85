"""Posts each message to a webhook. Offers the kind ``webhook``.

Invariant: 250 means that the hook has answered 2xx to the whole message.
"""

import json
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import attrs
import gevent
from gevent.event import Event
from mdacore import Attempt, Context, Envelope, Health, Provider, Reply, hookimpl

SPEAKS_OF_THE_MESSAGE = {413, 415, 422}
"""Too large, of no type that it takes, of content that it does not take: the same later would change nothing."""


def _check_url(_: object, __: object, url: str) -> None:
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ValueError(f"{url!r} is not a URL like https://hooks.example.com/mail")


@attrs.frozen(kw_only=True)
class WebhookConfig:
    """``[relays.<name>] kind = "webhook"``."""

    url: str = attrs.field(validator=_check_url, metadata={"help": "Where each message is posted to."})


class WebhookRelay:
    """A relay whose next hop speaks HTTP."""

    def __init__(self, config: WebhookConfig, context: Context) -> None:
        self._url = urlsplit(config.url)
        self._log = context.log
        self._in_hand: dict[gevent.greenlet.greenlet, Event] = {}

    def start(self) -> None:
        """Nothing to acquire: each attempt has a connection of its own."""

    def drain(self, grace_s: float) -> bool:
        """Wait for the posts that are on their way."""
        gevent.wait(list(self._in_hand.values()), timeout=grace_s)
        return not self._in_hand

    def stop(self) -> None:
        """Cut short what is on its way; the queue tries it again."""
        gevent.killall(list(self._in_hand), block=False)

    def health(self) -> Health:
        """Whether the hook answers is for the log to say."""
        return Health(facts={"posts_in_hand": len(self._in_hand)})

    def destination(self, envelope: Envelope) -> str:
        """One hook, one lane."""
        return ""

    def attempt(self, envelope: Envelope, attempt: Attempt) -> Mapping[int, Reply]:
        """One post for all recipients, and so one reply.

        http.client waits without blocking the hub: `mdacore run` has patched the standard library.
        """
        done = self._in_hand[gevent.getcurrent()] = Event()
        try:
            reply = self._reply(self._post(envelope, attempt))
        except (OSError, HTTPException) as error:
            self._log.warning("webhook.failed", error=repr(error))
            reply = Reply(code=451, enhanced="4.4.1", text="No answer from the webhook")
        finally:
            del self._in_hand[gevent.getcurrent()]
            done.set()
        return dict.fromkeys((recipient.number for recipient in envelope.recipients), reply)

    def _post(self, envelope: Envelope, attempt: Attempt) -> int:
        addresses = [recipient.address for recipient in envelope.recipients]
        facts = {"queue_id": attempt.queue_id, "sender": envelope.sender, "recipients": addresses}
        headers = {
            "Content-Type": "message/rfc822",
            "Content-Length": str(envelope.content.size_bytes),
            "X-Envelope": json.dumps(facts),  # ASCII on one line, whatever is in an address
        }
        connect = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        connection = connect(self._url.hostname or "", self._url.port, timeout=attempt.deadline_s)
        try:
            target = self._url._replace(scheme="", netloc="", path=self._url.path or "/", fragment="").geturl()
            connection.request("POST", target, body=envelope.content.chunks(), headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def _reply(self, status: int) -> Reply:
        """A hook that is down, that has moved or that lets nobody in costs time; it must not cost mail."""
        if 200 <= status < 300:
            return Reply(code=250, enhanced="2.0.0", text="Posted")
        self._log.warning("webhook.refused", status=status)
        if status in SPEAKS_OF_THE_MESSAGE:
            return Reply(code=554, enhanced="5.6.0", text="The webhook does not take this message")
        return Reply(code=451, enhanced="4.3.0", text="The webhook does not take messages now")


@hookimpl
def mdacore_relays() -> Iterable[Provider[WebhookConfig, Context, WebhookRelay]]:
    """One kind; which URL is meant only a configuration can say."""
    yield Provider(kind="webhook", config=WebhookConfig, build=WebhookRelay, api=1, default=True)
