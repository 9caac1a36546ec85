"""What the service and the helper say: everything comes back as it was said, and nothing else passes."""

from __future__ import annotations

import contextlib
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore.service.spawn_helper.messages import (
    MAX_MESSAGE_BYTES,
    Malformed,
    Report,
    Signal,
    Spawn,
    encode_report,
    encode_signal,
    encode_spawn,
    parse_report,
    parse_request,
)

NUMBERS = st.integers(0, 10**15)
VALUES = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))


@given(NUMBERS, NUMBERS, VALUES)
def test_a_spawn_comes_back_as_it_was(job, template, values):
    assert Spawn(job, template, tuple(values)) == parse_request(encode_spawn(job, template, values))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_comes_back_as_it_was(number):
    assert Signal(7, number) == parse_request(encode_signal(7, number))


def test_a_value_with_a_nul_is_not_sent():
    with pytest.raises(ValueError, match="NUL"):
        encode_spawn(1, 0, ["a\0b"])


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0",
        b"spawn",
        b"spawn\x001",
        b"Spawn\x001\x000",
        b"spawn\x00-1\x000",
        b"spawn\x0001\x000",
        b"spawn\x001 \x000",
        b"spawn\x00\xd9\xa1\x000",  # a digit, but not one of ours
        b"spawn\x0011111111111111111\x000",
        b"spawn\x001\x00",
        b"spawn\x001\x000\x00\xff",
        b"signal\x001",
        b"signal\x001\x0015\x00",
        b"signal\x001\x001",  # SIGHUP
        b"signal\x001\x0019",  # SIGSTOP
        b"signal\x00\x0015",
        b"exec\x001\x000",
        b"x" * (MAX_MESSAGE_BYTES + 1),
    ],
)
def test_what_is_no_request_is_refused(packet):
    with pytest.raises(Malformed):
        parse_request(packet)


@given(st.binary())
def test_any_octets_are_a_request_or_refused(packet):
    with contextlib.suppress(Malformed):
        parse_request(packet)


@pytest.mark.parametrize("report", [Report("started", 1), Report("failed", 2, 13, "no"), Report("exited", 3, 256)])
def test_a_report_comes_back_as_it_was(report):
    assert report == parse_report(encode_report(report))


def test_the_text_of_a_report_is_made_to_fit():
    report = parse_report(encode_report(Report("refused", 1, 0, "a\0\ud800" + "x" * 1000)))

    assert (True, True) == (report.text.startswith("a \\ud800xxx"), len(report.text) < 600)


@pytest.mark.parametrize("packet", [b"", b"ended\x001\x000\x00", b"exited\x001\x000", b"exited\x00x\x000\x00"])
def test_what_is_no_report_is_refused(packet):
    with pytest.raises(Malformed):
        parse_report(packet)
