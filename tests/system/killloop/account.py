"""What was delivered and returned, against what the clients were told."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
from clients import Sent
from host import Host

RECORD_S = 30.0
"""How long recording a delivery may take, on a disk that is busy with others' files: one that is older when its process
is killed is not to be repeated."""
FILE_NAME = re.compile(r"(\d+)\.M(\d+)P(\d+)Q")
FINAL_RECIPIENT = re.compile(rb"^Final-Recipient: rfc822; (\S+)\r?$", re.M)
REPORT = re.compile(rb"^Content-Type: multipart/report;", re.M)
MESSAGE_ID = re.compile(rb"^Message-ID: <(\S+)>$", re.M)
DELIVERED_TO = re.compile(rb"^Delivered-To: (\S+)$", re.M)
MAX_SHOWN = 20


@attrs.frozen
class Arrival:
    """One message in one mailbox, once."""

    at: float
    pid: int
    digest: str


@attrs.define
class Account:
    """Everything that is known about one host when its queue is empty.

    Attributes:
        arrivals: by recipient.
        notices: by bounced recipient, then by the notice's Message-ID: its arrivals.
    """

    host: Host
    messages: Mapping[str, Sent]
    arrivals: dict[str, list[Arrival]] = attrs.field(factory=lambda: defaultdict(list))
    notices: dict[str, dict[str, list[Arrival]]] = attrs.field(factory=lambda: defaultdict(lambda: defaultdict(list)))
    duplicates: int = 0

    def read(self) -> None:
        """Gather what lies in the maildirs and in the recorder's file."""
        recorded = self.host.state / "deliveries.jsonl"
        for line in recorded.read_text().splitlines() if recorded.exists() else ():
            given = json.loads(line)
            self.arrivals[given["rcpt"]].append(Arrival(given["at"], given["pid"], given["digest"]))
        for path in (self.host.state / "maildirs").glob("*/*/new/*"):
            self._read_file(path)

    def problems(self, left: Sequence[Mapping[str, object]]) -> list[str]:
        """Everything that must not be. `left` is what the queue still holds."""
        found = [f"still queued: {entry}" for entry in left]
        for message in self.messages.values():
            found += self._problems_of(message)
        known = {recipient for message in self.messages.values() for recipient in message.recipients}
        found += [f"nobody sent {rcpt}" for rcpt in {*self.arrivals, *self.notices} - known]
        return [*found, *(f"left behind: {path}" for path in self.host.bodies())]

    @property
    def lines_of_the_log(self) -> list[str]:
        """All of them."""
        return self.host.log.read_text(errors="replace").splitlines()

    def _read_file(self, path: Path) -> None:
        data = path.read_bytes()
        header, _, body = data.partition(b"\n\n")
        name = FILE_NAME.match(path.name)
        rcpt = DELIVERED_TO.search(header)
        if name is None or rcpt is None:
            raise AssertionError(f"not ours: {path}")
        digest = hashlib.sha256(body.replace(b"\n", b"\r\n")).hexdigest()
        arrival = Arrival(int(name[1]) + int(name[2]) / 1e6, int(name[3]), digest)
        if not REPORT.search(header):
            self.arrivals[rcpt[1].decode()].append(arrival)
            return
        notice = MESSAGE_ID.search(header)
        for failed in FINAL_RECIPIENT.findall(data):
            self.notices[failed.decode()][notice[1].decode() if notice else "no Message-ID"].append(arrival)

    def _problems_of(self, message: Sent) -> list[str]:
        found = []
        has_begun = any(rcpt in self.arrivals or rcpt in self.notices for rcpt in message.recipients)
        is_expected = message.state == "accepted" or (message.state == "unknown" and has_begun)
        for rcpt in message.recipients:
            name = f"{message.state} {rcpt}"
            arrivals = self.arrivals.get(rcpt, [])
            notices = self.notices.get(rcpt, {})
            if not is_expected:
                found += [f"{name}: arrived"] if arrivals or notices else []
            elif "never@" in rcpt and rcpt.endswith("recorded.test"):
                found += [f"{name}: arrived though it fails for good"] if arrivals else []
                wanted = 1 if message.sender else 0
                found += [f"{name}: {len(notices)} notices instead of {wanted}"] if len(notices) != wanted else []
            else:
                found += [] if arrivals else [f"{name}: LOST"]
                found += [f"{name}: bounced"] if notices else []
            found += [f"{name}: its body changed" for one in arrivals if one.digest != message.digest]
            for again in (arrivals, *notices.values()):
                found += [f"{name}: {why}" for why in self._repeated(again)]
        return found

    def _repeated(self, arrivals: list[Arrival]) -> list[str]:
        """Each arrival but the last must have been in flight when its process was killed."""
        found = []
        for one in sorted(arrivals, key=lambda arrival: arrival.at)[:-1]:
            self.duplicates += 1
            killed_at = self.host.killed_at.get(one.pid)
            if killed_at is None or killed_at - one.at > RECORD_S:
                found.append(f"delivered again, though not in flight at a kill ({one}, killed at {killed_at})")
        return found
