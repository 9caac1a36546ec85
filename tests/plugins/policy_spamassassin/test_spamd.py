"""With the real spamd and all its rules, over TCP and over a UNIX socket."""

from __future__ import annotations

import pytest

from mdacore import Content, FileBody
from mdacore.testing import content_of, make_envelope
from mdacore_policy_spamassassin import events

GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
HEADER = (
    b"Received: from relay.example.org (relay.example.org [192.0.2.1])\r\n\tby mx.example.test with ESMTP;\r\n"
    b"\tWed, 15 Nov 2023 06:13:20 +0000\r\n"
    b"Date: Wed, 15 Nov 2023 06:13:19 +0000\r\n"
    b"From: Alice <alice@example.org>\r\n"
    b"To: Bob <bob@example.test>\r\n"
    b"Message-Id: <20231115061319.1@example.org>\r\n"
    b"Subject: Lunch on \r\n Thursday \r\n"
)
CLEAN = HEADER + b"\r\nShall we meet at noon, at the usual place?\t \r\n\r\nYours,\r\nAlice"
SPAM = HEADER + b"\r\n" + GTUBE + b"\r\n"
FORGED = b"X-Spam-Status: No, score=-100.0\r\n\trequired=5.0\r\nx-spam-symbols: NONE\r\nX-Spam-Flag: NO\r\n"


@pytest.fixture(params=["tcp", "unix"])
def address(request, spamd):
    return getattr(spamd, request.param)


def test_gtube_is_spam(address, make_policy):
    (result,) = make_policy(address=address).apply(make_envelope(message=SPAM))

    assert content_of(result).startswith(b"X-Spam-Status: YES, score=1")
    assert b"GTUBE" in result.content.fields(b"X-Spam-Symbols")[0]
    assert content_of(result).endswith(b"\r\n" + SPAM)


def test_a_letter_is_not(address, make_policy, log):
    (result,) = make_policy(address=address).apply(make_envelope(message=CLEAN))

    assert content_of(result).startswith(b"X-Spam-Status: NO, score=")
    assert content_of(result).endswith(b"\r\n" + CLEAN)
    assert [events.SCANNED] == [event for _, event, _ in log.lines]


def test_a_forged_verdict_from_outside_is_gone(address, make_policy):
    (result,) = make_policy(address=address).apply(make_envelope(message=FORGED + SPAM))

    (status,) = result.content.fields(b"X-Spam-Status")
    assert status.startswith(b" YES, score=1")
    assert 1 == len(result.content.fields(b"X-Spam-Symbols"))
    assert [] == result.content.fields(b"X-Spam-Flag")
    assert content_of(result).endswith(b"\r\n" + SPAM)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\r\n",
        b"no header at all",
        b"Subject: no end",
        HEADER + b"\r\n8 bit \xff\xfe and a NUL \0 and a bare \r and \n\r\n",
        HEADER + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n" + b"b" * 100_000,
    ],
    ids=["empty", "one line", "no header", "no line end", "8 bit", "long lines"],
)
def test_a_verdict_comes_for_whatever_message(message, spamd, make_policy):
    (result,) = make_policy(address=spamd.unix).apply(make_envelope(message=message))

    assert content_of(result).startswith(b"X-Spam-Status: ")
    assert content_of(result).endswith(message)


def test_a_large_body_in_a_file_is_scanned_as_it_is(spamd, make_policy, tmp_path):
    path = tmp_path / "body"
    path.write_bytes(HEADER + b"\r\n" + GTUBE + b"\r\n" + b"An ordinary line of text.\r\n" * 15_000)
    envelope = make_envelope().with_content(Content(FileBody(path, path.stat().st_size)))

    (result,) = make_policy(address=spamd.tcp).apply(envelope)

    assert content_of(result).startswith(b"X-Spam-Status: YES, score=1")
    assert content_of(result).endswith(b"\r\n" + path.read_bytes())


def test_the_user_is_named_to_spamd(spamd, make_policy):
    (result,) = make_policy(address=spamd.tcp, user="bob@example.test").apply(make_envelope(message=SPAM))

    assert content_of(result).startswith(b"X-Spam-Status: YES")


def test_gtube_is_refused_where_that_is_wanted(spamd, make_policy):
    with pytest.raises(Exception, match=r"550 5\.7\.1 Message refused as spam"):
        make_policy(address=spamd.tcp, reject_score=900.0).apply(make_envelope(message=SPAM))
