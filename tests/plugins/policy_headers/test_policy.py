"""HeadersPolicy adds what is missing and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest

from mdacore import Client, Content, Context, Envelope, FileBody, Health, PolicyParts
from mdacore.testing import content_of, make_context, make_envelope
from mdacore_policy_headers import HeadersConfig, HeadersPolicy, mdacore_policies

COMPLETE = b"Received: from x\r\nDate: today\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n"
ADDED = re.compile(
    rb"Received: from client\.example\.net \(unknown \[192\.0\.2\.1\]\)\r\n"
    rb"\tby mx\.example\.com with ESMTP;\r\n"
    rb"\tWed, 15 Nov 2023 06:13:20 \+0000\r\n"
    rb"Date: Wed, 15 Nov 2023 06:13:20 \+0000\r\n"
    rb"Message-Id: <1700028800\.[0-9a-f]{20}@mx\.example\.com>\r\n"
)


@pytest.fixture
def context() -> Context:
    return make_context("policies.headers", hostname="mx.example.com")


def received(message: bytes) -> Envelope:
    """The message as a client of ours has sent it."""
    client = Client(ip="192.0.2.1", helo="client.example.net", protocol="ESMTP")
    return make_envelope(message=message, client=client, received_at=1_700_028_800.75)


def applied(context: Context, envelope: Envelope, **config: bool) -> bytes:
    (changed,) = HeadersPolicy(HeadersConfig(**config), context).apply(envelope)
    assert envelope == changed.with_content(envelope.content)
    return content_of(changed)


class TestApply:
    def test_missing_fields_are_added_with_received_on_top(self, context: Context) -> None:
        message = b"Subject: x\r\n\r\nbody\r\n"

        made = applied(context, received(message))

        match = ADDED.match(made)
        assert match is not None
        assert message == made[match.end() :]

    def test_complete_message_stays_the_same_object(self, context: Context) -> None:
        envelope = received(COMPLETE)

        (same,) = HeadersPolicy(HeadersConfig(), context).apply(envelope)

        assert envelope is same

    @pytest.mark.parametrize(("name", "line"), [(b"Received", 0), (b"Date", 1), (b"Message-Id", 2)])
    def test_only_the_missing_field_is_added(self, context: Context, name: bytes, line: int) -> None:
        lines = COMPLETE.split(b"\r\n")
        message = b"\r\n".join(lines[:line] + lines[line + 1 :])

        made = applied(context, received(message))

        assert made.startswith(name + b": ")
        assert made.endswith(b"\r\n" + message)
        assert 1 == made.lower().count(name.lower() + b": ")

    @pytest.mark.parametrize(
        "field",
        [b"DATE: x\r\n", b"date:x\r\n", b"Date :x\r\n", b"Date:\r\n", b"X: y\r\n folded\r\nDate:\r\n\tfolded\r\n"],
    )
    def test_odd_spelling_is_found(self, context: Context, field: bytes) -> None:
        made = applied(context, received(field + b"\r\nbody"), message_id=False, received=False)

        assert field + b"\r\nbody" == made

    @pytest.mark.parametrize(
        "message",
        [
            b"A: b\r\n\r\nDate: in the body\r\n",
            b"\r\nDate: in the body\r\n",
            b"first line is body\r\nDate: in the body\r\n\r\n",
            b"A: b\r\n Date: folded\r\n\r\n",
            b"X-Date: other\r\nDated: other\r\n\r\n",
        ],
    )
    def test_what_only_looks_like_a_field_does_not_count(self, context: Context, message: bytes) -> None:
        assert applied(context, received(message)).startswith(b"Received: ")
        assert b"\r\nDate: Wed, 15 Nov 2023" in applied(context, received(message))

    @pytest.mark.parametrize(
        ("message", "between"),
        [
            pytest.param(b"", b"", id="empty"),
            pytest.param(b"\r\nbody\r\n", b"", id="empty header"),
            pytest.param(b"body\r\n", b"\r\n", id="first line is body"),
            pytest.param(b" body\r\n", b"\r\n", id="first line would be folded"),
            pytest.param(b"http://example.com/\r\n\r\nbody", b"", id="first line is a field to everybody"),
        ],
    )
    def test_case_054_message_without_header_gets_one(self, context: Context, message: bytes, between: bytes) -> None:
        made = applied(context, received(message))

        match = ADDED.match(made)
        assert match is not None
        assert between + message == made[match.end() :]

    def test_edits_of_earlier_policies_and_the_edge_count(self, context: Context) -> None:
        envelope = received(b"Date: x\r\n\r\n")
        content = envelope.content.remove(b"Date").prepend(b"Received: by edge\r\n")

        made = applied(context, envelope.with_content(content), message_id=False)

        assert b"Date: Wed, 15 Nov 2023 06:13:20 +0000\r\nReceived: by edge\r\n\r\n" == made

    def test_body_in_a_file_is_read_for_its_header(self, context: Context, tmp_path: Path) -> None:
        path = tmp_path / "body"
        path.write_bytes(COMPLETE)
        envelope = attrs.evolve(received(b""), content=Content(FileBody(path, len(COMPLETE))))

        (same,) = HeadersPolicy(HeadersConfig(), context).apply(envelope)

        assert envelope is same


class TestConfig:
    @pytest.mark.parametrize(
        ("switch", "name"), [("date", b"Date"), ("message_id", b"Message-Id"), ("received", b"Received")]
    )
    def test_switched_off_field_is_not_added(self, context: Context, switch: str, name: bytes) -> None:
        made = applied(context, received(b"\r\n"), **{switch: False})

        assert b"\r\n" + name + b": " not in b"\r\n" + made
        assert 2 == sum(made.count(field) for field in (b"Received: ", b"Date: ", b"Message-Id: "))

    @pytest.mark.parametrize("hostname", ["", "two words", "é.example", "a>b"])
    def test_host_name_that_cannot_stand_in_an_id_is_refused(self, context: Context, hostname: str) -> None:
        with pytest.raises(ValueError, match="cannot stand in"):
            HeadersPolicy(HeadersConfig(), attrs.evolve(context, hostname=hostname))

    def test_it_is_the_plugin_s_default_kind(self) -> None:
        (provider,) = mdacore_policies()

        assert ("headers", True) == (provider.kind, provider.default)


class TestLife:
    def test_it_takes_part_before_storage_only(self, context: Context) -> None:
        policy = HeadersPolicy(HeadersConfig(), context)

        parts = policy.parts()

        assert PolicyParts(queue_policy=policy.apply) == parts

    def test_it_starts_drains_and_stops(self, context: Context) -> None:
        policy = HeadersPolicy(HeadersConfig(), context)

        policy.start()

        assert Health() == policy.health()
        assert policy.drain(0)
        policy.stop()
        policy.stop()
