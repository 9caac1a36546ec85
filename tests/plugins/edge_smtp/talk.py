"""What clients may say, as hypothesis strategies: good commands, bad ones, mutants of both, and lies about lengths.

Nothing in here knows what any of it means. Strategies shrink towards short, plain conversations.
"""

from __future__ import annotations

import base64
import itertools

import attrs
from hypothesis import strategies as st

from .reference import KINDS, OFFERS, Rules, Scenario, pieces_of

HELLOS = [b"EHLO c\r\n", b"LHLO c\r\n", b"HELO c\r\n", b"ehlo [192.0.2.1]\r\n", b"EHLO\r\n", b"EHLO a b\r\n"]
TRANSACTIONS = [
    b"MAIL FROM:<a@b>\r\n", b"MAIL FROM:<>\r\n", b"mail from: <a@b> size=9 body=8bitmime\r\n",
    b"MAIL FROM:<a@b> SIZE=41\r\n", b"MAIL FROM:<\xc3\xbc@b> SMTPUTF8\r\n", b"MAIL FROM:<a@b> SMTPUTF8\r\n",
    b"MAIL FROM:<a@b> RET=HDRS ENVID=a+20b\r\n", b"MAIL FROM:<a@b> AUTH=<>\r\n", b"MAIL FROM:a@b\r\n",
    b"RCPT TO:<c@d>\r\n", b"RCPT TO:<c@d>\r\n", b"RCPT TO:<postmaster>\r\n", b"RCPT TO:<c>\r\n", b"RCPT\r\n",
    b"RCPT TO:<\xc3\xbc@d>\r\n", b"RCPT TO:<c@d> NOTIFY=NEVER\r\n", b"RCPT TO:<c@xn--a>\r\n",
    b"RCPT TO:<c@d> ORCPT=rfc822;c+2B@d\r\n", b"RCPT TO:<@x,@y:c@[IPv6:::1]>\r\n", b'RCPT TO:<"a b"@d>\r\n',
    b"RCPT TO:<c@d> FOO=1\r\n", b"DATA\r\n", b"DATA\r\n", b"RSET\r\n", b"DATA x\r\n",
]  # fmt: skip
OTHERS = [
    b"NOOP\r\n", b"VRFY x\r\n", b"VRFY\r\n", b"HELP\r\n", b"EXPN x\r\n", b"QUIT\r\n", b"x\r\n", b"\r\n", b"GET / \r\n",
    b"NOOP " + b"x" * 60, b"NOOP \xff\r\n", b"NO\0OP\r\n", b"STARTTLS x\r\n", b"RSET\r\n", b"NOOP\r\n",
    b"help me\r\n",
]  # fmt: skip
PROXIES = [
    b"XCLIENT NAME=a\r\n", b"XCLIENT NAME=a ADDR=192.0.2.1\r\n", b"XCLIENT ADDR=IPV6:::1 PORT=[tempunavail]\r\n",
    b"XCLIENT NAME=\r\n", b"XCLIENT \r\n", b"XCLIENT PORT=65536 \r\n", b"XCLIENT ADDR=::1%1\r\n",
    b"XCLIENT NAME=+7F\r\n",
]  # fmt: skip
CHUNKS = [
    b"BDAT 4\r\n", b"BDAT 4 LAST\r\n", b"bdat 0 last\r\n", b"BDAT 41\r\n", b"BDAT 81\r\n", b"BDAT x\r\n", b"BDAT\r\n",
    b"BDAT 2\r\n\r\n", b"BDAT 1\r\n\r", b"BDAT 1\r\n\n", b"BDAT 6\r\nQUIT\r\n", b"BDAT 3 LAST\r\nx\r\n",
    b"BDAT 30\r\n" + b"z" * 30,
]  # fmt: skip
EXCHANGES = [
    b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"auth plain AGEAYg==\r\n", b"AUTH LOGIN YQ==\r\n", b"AUTH PLAIN =\r\n",
    b"AGEAYg==\r\n", b"YQ==\r\n", b"*\r\n", b"AUTH CRAM-MD5\r\n", b"AUTH\r\n", b"AUTH LOGIN " + b"A" * 60,
    b"AUTH PLAIN AGEAYg==\n", b"!\r\n",
    b"AUTH PLAIN " + b"QUJD" * 20 + b"\r\n", b"AUTH LOGIN " + b"A" * 120,
]  # fmt: skip
TEXT = [
    b"text\r\n", b".\r\n", b"\r\n.\r\n", b"..\r\n", b".", b"\r", b"\n", b"\r\n", b"\n.\n", b"\n.\r\n", b"\r\n.\n",
    b"\r.\r\n", b"\0", b"\xff", b"y" * 50, b"y" * 38 + b"\r\n", b".x\r\n",
]  # fmt: skip
STARTTLS = [b"STARTTLS\r\n", b"starttls \r\n"]

_OCTETS = b'\r\n\0 .<>@:"\\[]+-=;,*\t\x7f\x80\xc3\xbc\xffaAzZ019'
_LONG_S = "\u017f".encode()


@st.composite
def _mutants(draw: st.DrawFn, sound: st.SearchStrategy[bytes]) -> bytes:
    """An octet is put in, taken out, or doubled."""
    octets = draw(sound)
    place = draw(st.integers(0, max(0, len(octets) - 1)))
    other = bytes([draw(st.sampled_from(_OCTETS))])
    how = draw(st.integers(0, 3))
    cut = (place, place + 1, place, place + 1)[how]
    new = (other, other, octets[place : place + 1] * 2, b"")[how]
    return octets[:place] + new + octets[cut:]


_DOMAINS = [
    "b", "b.c", "[192.0.2.1]", "[IPv6:::1]", "[1@2]", "b-", "-b", "ü", "xn--bcher-kva", "xn--a", "b\u3002c", "[x]",
    "é" * 50, "x" * 64, "b.", "[IPv6:fe80::1%1]",
]  # fmt: skip


@st.composite
def _paths(draw: st.DrawFn) -> bytes:
    """MAIL or RCPT with a path from parts that fit, more or less."""
    local = draw(st.sampled_from(["a", "a.b", '"a b"', '"\\""', "a..b", '""', "ü", "x" * 64, "x" * 65, ".a", '"\\']))
    label = draw(st.sampled_from(_DOMAINS))
    route = draw(st.sampled_from(["", "", "@r:", "@r,@s:", "@r-:", "@ü:", "@:"]))
    verb = draw(st.sampled_from(["MAIL FROM:", "RCPT TO:", "MAIL FROM: "]))
    parameters = draw(st.lists(_parameters(), max_size=3))
    return " ".join([f"{verb}<{route}{local}@{label}>", *parameters]).encode() + b"\r\n"


def _parameters() -> st.SearchStrategy[str]:
    keywords = ["SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "NOTIFY", "ORCPT", "AUTH", "X", "-", ""]
    values = ["", "=9", "=7BIT", "=8bitmime", "=HDRS", "=full", "=a+2Bb", "=a+2bb", "=NEVER", "=SUCCESS,DELAY", "=+7F",
              "=SUCCESS,NEVER", "=rfc822;a", "=utf-8;ü", "=utf-8;a", "=", "==", "=<>", "=ü", "=HDR" + _LONG_S.decode(),
              "=99999999999999999999", "=\x01"]  # fmt: skip
    return st.builds(str.__add__, st.sampled_from(keywords), st.sampled_from(values))


@st.composite
def _chunks(draw: st.DrawFn) -> bytes:
    """A chunk that is as long as it says, or nearly."""
    octets = draw(st.sampled_from([*TEXT, b"QUIT\r\n", b"DATA\r\n"]))
    size = max(0, len(octets) + draw(st.sampled_from([0, 0, 0, 1, -1])))
    return b"BDAT %d%b\r\n%b" % (size, draw(st.sampled_from([b"", b"", b" LAST", b"  last "])), octets)


@st.composite
def _chunked(draw: st.DrawFn) -> bytes:
    """A message in chunks, cut anywhere."""
    text = b"".join(draw(st.lists(st.sampled_from(TEXT), min_size=1, max_size=3)))
    cuts = sorted({0, *draw(st.lists(st.integers(0, len(text)), max_size=3)), len(text)})
    chunks = [text[begin:end] for begin, end in itertools.pairwise(cuts)]
    last = draw(st.sampled_from([b" LAST", b" LAST", b""]))
    lasts = [b""] * (len(chunks) - 1) + [last]
    return b"".join(b"BDAT %d%b\r\n%b" % (len(each), end, each) for each, end in zip(chunks, lasts, strict=True))


@st.composite
def _exchanges(draw: st.DrawFn) -> bytes:
    """AUTH with all that belongs to it, more or less."""
    texts = st.sampled_from(
        [b"\0a\0b", b"a\0a\0b", b"z\0a\0b", b"\0\0b", b"\0a\0", b"a", b"b", b"", b"\0a\0\xff", b"\0a"]
    )
    command, count = draw(st.sampled_from([(b"PLAIN ", 1), (b"PLAIN\r\n", 1), (b"LOGIN ", 2), (b"login\r\n", 2)]))
    responses = [
        base64.b64encode(draw(texts)) + draw(st.sampled_from([b"", b"", b"", b"", b"=", b"A", b" "])) + b"\r\n"
        for _ in range(count)
    ]
    return b"AUTH " + command + b"".join(responses)


_TO_RCPT = b"HELLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
_BEGINNINGS = [
    b"HELLO c\r\n", _TO_RCPT, _TO_RCPT + b"RCPT TO:<e@f>\r\n", _TO_RCPT + b"DATA\r\n",
    b"HELLO c\r\nMAIL FROM:<a@b>\r\n", b"", _TO_RCPT + b"RCPT TO:<e@f>\r\nDATA\r\n",
    b"HELLO c\r\nMAIL FROM:<a@b> SMTPUTF8\r\n",
]  # fmt: skip
"""Most of what is worth trying lies behind good manners; HELLO stands for the verb of the protocol."""


@st.composite
def _messages(draw: st.DrawFn) -> bytes:
    """A message with DATA, from its command to its end, or what somebody takes for it."""
    text = b"".join(draw(st.lists(st.sampled_from(TEXT), max_size=4)))
    return b"DATA\r\n" + text + draw(st.sampled_from([b"\r\n.\r\n", b"\r\n.\r\n", b".\r\n", b"\n.\n"]))


def _transactions() -> st.SearchStrategy[bytes]:
    """Wholly sound ones among them."""
    return st.builds(bytes.__add__, st.sampled_from([b"", _TO_RCPT[9:]]), st.one_of(_messages(), _chunked()))


def _talk(*more: list[bytes]) -> st.SearchStrategy[bytes]:
    kinds = [HELLOS, TRANSACTIONS, TRANSACTIONS, OTHERS, PROXIES, CHUNKS, EXCHANGES, TEXT, *more]
    any_word = st.sampled_from([word for kind in kinds for word in kind])
    part = st.one_of(
        *map(st.sampled_from, kinds), *map(st.sampled_from, kinds), _mutants(any_word),
        _exchanges(), _mutants(_exchanges()), _paths(), _mutants(_paths()), _chunks(), _chunked(), _transactions(),
        _transactions(), st.binary(max_size=8),
    )  # fmt: skip
    parts = st.lists(part, min_size=1, max_size=14)
    return st.builds(lambda first, rest: first + b"".join(rest), st.sampled_from(_BEGINNINGS), parts)


_SOUND = [
    b"AUTH PLAIN AGEAYg==\r\n", b"AUTH LOGIN\r\nYQ==\r\nYg==\r\n", b"AUTH PLAIN\r\neABhAGI=\r\n", b"RSET\r\n",
    b"NOOP\r\n", b"x\r\n", _TO_RCPT[9:] + b"DATA\r\nx\r\n.\r\n", _TO_RCPT[9:] + b"BDAT 1\r\nxBDAT 3 LAST\r\ny\r\n",
    b"BDAT 2\r\nxy",
    _TO_RCPT[9:] + b"RCPT TO:<e@f>\r\nDATA\r\n.\r\n", b"DATA\r\n..\r\n.\r\n", b"RCPT TO:<e@f>\r\n", b"HELLO c\r\n",
    b"XCLIENT NAME=a\r\nHELLO c\r\n", b"BDAT 0 LAST\r\n", b"AUTH PLAIN\r\n*\r\n",
    _TO_RCPT[9:] + b"BDAT 0\r\n" * 5, b"MAIL FROM:<a@b>\r\nRSET\r\n" * 3 + b"NOOP\r\n", b"AUTH LOGIN\r\nYQ==\r\n!\r\n",
    b"AUTH PLAIN\r\nAGEAYg==\n\r\n", b"AUTH LOGIN\r\n" + b"A" * 140, b"x\r\n" + _TO_RCPT[9:] + b"DATA\r\n.\r\n",
]  # fmt: skip
"""For conversations in which little is wrong but the answers."""


def _well_mannered(*more: bytes) -> st.SearchStrategy[bytes]:
    parts = st.lists(st.sampled_from([*_SOUND, *more]), min_size=1, max_size=10)
    return parts.map(lambda parts: b"HELLO c\r\n" + b"".join(parts))


OCTETS = _talk(STARTTLS) | _well_mannered(b"STARTTLS\r\n", b"STARTTLS\r\nHELLO c\r\n")
"""Any talk."""
OCTETS_IN_CLEAR = _talk() | _well_mannered()
"""Without STARTTLS, whose meaning depends on how the octets are cut."""

PATIENT = Rules(max_errors=12, max_idle_commands=20, max_messages=6, max_line_bytes=200)
LENIENT_RULES = st.sampled_from([PATIENT, Rules(), Rules(is_normalizing=True)])
RULES = st.one_of(LENIENT_RULES, st.just(attrs.evolve(PATIENT, is_strict_sync=True)))


@st.composite
def cut(draw: st.DrawFn, octets: bytes) -> tuple[bytes, ...]:
    """In one piece, octet by octet, line by line as from a client that waits, or anyhow."""
    how = draw(st.integers(0, 3))
    if how == 2:
        return tuple(octets.splitlines(keepends=True)) or (b"",)
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=6)) if how == 3 else [len(octets), 1][how:][:1]
    return pieces_of(octets, sizes)


ANSWERS = st.lists(st.sampled_from([0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7]), max_size=9)
MOODY_ANSWERS = st.lists(st.sampled_from([0, 2, 4, 5, 6, 7]), max_size=4)


@st.composite
def scenarios(
    draw: st.DrawFn,
    octets: st.SearchStrategy[bytes] = OCTETS,
    rules: st.SearchStrategy[Rules] = RULES,
) -> Scenario:
    """Any conversation."""
    is_lmtp = draw(st.booleans())
    hello = b"LHLO" if is_lmtp else b"EHLO"
    moody_about = draw(st.sampled_from([""] * 5 + [*KINDS]))
    return Scenario(
        pieces=draw(cut(draw(octets).replace(b"HELLO", hello))),
        rules=draw(rules),
        is_lmtp=is_lmtp,
        speaks_first=draw(st.sampled_from([False] * 7 + [True])),
        offers=draw(st.sampled_from([0, 0, 0, *range(len(OFFERS))])),
        choices=tuple(draw(MOODY_ANSWERS if moody_about else ANSWERS)),
        moody_about=moody_about,
        has_handshake=draw(st.sampled_from([True, True, False])),
    )
