"""How the suites drive an edge: what an author gives, fixtures around it, and clients in threads. Needs pytest.

No rule is in here; they are in `edge_session_contract` and `edge_contract`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, cast

import gevent
import pytest

from mdacore.contracts import Component, Context, Edge, EdgeContext
from mdacore.runtime import SystemClock
from mdacore.testing.component_contract import ComponentContract
from mdacore.testing.contexts import make_edge_context
from mdacore.testing.handoff import RecordingHandoff
from mdacore.testing.logs import CapturedLog
from mdacore.words import Reply

T = TypeVar("T")

SENDER = "alice@example.org"
RCPTS = ("bob@example.test", "carol@example.test")
MESSAGE = b"From: <alice@example.org>\r\nSubject: hello\r\n\r\n.How are you?\r\n..\r\n"


class EdgeClient(Protocol):
    """One connection to the edge, used from one thread at a time. Raises OSError when the edge has closed it."""

    def send(self, sender: str, recipients: Sequence[str], message: bytes) -> Sequence[Reply]:
        """Send a message; the replies that decide about it: one, or one for each recipient where there is that.

        What is refused before (the greeting, the sender, a recipient) is a reply that decides. A refused message leaves
        the connection ready for the next one.
        """

    def close(self) -> None:
        """End the connection. Raises nothing."""


class EdgeDriver(ComponentContract):
    """An edge that listens for connections, and clients for it."""

    instance = "edges.tested"
    address = "127.0.0.1:0"
    """Where to listen, as `make_edge` is told it; the system chooses what is left open."""

    @abc.abstractmethod
    def make_edge(self, context: EdgeContext, addresses: tuple[str, ...]) -> Edge:
        """The edge, built and not started, for these addresses. It accepts mail for ``example.test`` alone."""

    @abc.abstractmethod
    def connect(self, address: str) -> EdgeClient:
        """A client, connected to one of `Edge.addresses`. Runs in a thread. Raises OSError if it is turned away."""

    def make_component(self, context: Context) -> Component:
        return self.make_edge(cast(EdgeContext, context), (self.address,))

    def make_context(self, state_path: Path, log: CapturedLog) -> Context:
        return make_edge_context(
            self.instance, state_path=state_path, clock=SystemClock(), log=log, handoff=RecordingHandoff()
        )

    def start(self, component: Component) -> None:
        """Bring it up, as the core does: bound first, and stopped if it is bound and cannot start."""
        edge = cast(Edge, component)
        edge.bind()
        try:
            edge.start()
        except BaseException:
            edge.stop()
            raise

    def use(self, component: Component) -> None:
        self.send(cast(Edge, component))

    @pytest.fixture
    def handoff(self, context: Context) -> RecordingHandoff:
        """What the edge hands messages to. A test that holds it lets it go in the end."""
        return cast(RecordingHandoff, cast(EdgeContext, context).handoff)

    @pytest.fixture
    def edge(self, component: Component) -> Edge:
        """Up, and stopped at the end."""
        return cast(Edge, component)

    @pytest.fixture
    def open_client(self, edge: Edge) -> Iterator[Callable[[], EdgeClient]]:
        """Connects clients; closes them at the end."""
        clients: list[EdgeClient] = []

        def open_() -> EdgeClient:
            clients.append(in_thread(self.connect, edge.addresses[0]))
            return clients[-1]

        yield open_
        for client in clients:
            in_thread(client.close)

    @pytest.fixture
    def client(self, open_client: Callable[[], EdgeClient]) -> EdgeClient:
        """Connected, and closed at the end."""
        return open_client()

    def send(self, edge: Edge, *, sender: str = SENDER, message: bytes = MESSAGE, address: str = "") -> Sequence[Reply]:
        """Send a message over a connection of its own; no reply if the edge closed it."""
        try:
            client = in_thread(self.connect, address or edge.addresses[0])
        except OSError:
            return ()
        try:
            return answers_of(client, sender=sender, message=message)
        finally:
            in_thread(client.close)


def in_thread(function: Callable[..., T], *args: object) -> T:
    """Call what may block a thread; blocks this greenlet only. Raises OSError as the function does."""

    def call() -> tuple[T | None, OSError | None]:
        try:
            return function(*args), None
        except OSError as error:  # raised over there it would be printed
            return None, error

    result, error = gevent.get_hub().threadpool.apply(call)
    if error is not None:
        raise error
    return cast(T, result)


def answers_of(client: EdgeClient, *, sender: str = SENDER, message: bytes = MESSAGE) -> Sequence[Reply]:
    """Send a message; no reply if the edge closed the connection."""
    try:
        return in_thread(client.send, sender, RCPTS, message)
    except OSError:
        return ()


def are_success(replies: Sequence[Reply]) -> bool:
    """There is an answer, and it is success for everybody."""
    return bool(replies) and all(reply.is_success for reply in replies)
