"""Delivery as other users: a relay, a real spawn helper, and a service that has given up root's rights.

Each scenario is a process of its own, as a service is.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from mdacore_relay_lda import PipeConfig, kinds

LDA = "/usr/lib/dovecot/dovecot-lda"

SERVICE = """
from gevent import monkey; monkey.patch_all()
import json, os, sys, time
from pathlib import Path
import gevent
from mdacore import Attempt, Client, Content, Context, Envelope, MemoryBody, QueueId, Recipient
from mdacore.assembly.config import ServiceKeys
from mdacore.assembly.identity import find_identity
from mdacore.assembly.spawning import SpawnRegistry
from mdacore.runtime import SystemClock
from mdacore.service.privileges import become
from mdacore.service.spawn_helper import SpawnHelper
from mdacore_relay_lda import DovecotLdaConfig, MaildropConfig, PipeConfig, kinds

class Log:
    def debug(self, event, **fields): pass
    info = warning = error = debug

state = Path(sys.argv[1]) / "state"
registry = SpawnRegistry(has_helper=True)
context = Context(
    instance="relays.local", state_path=state, hostname="mx", clock=SystemClock(), log=Log(), spawning=registry
)
make, config, addresses, min_uid = json.loads(sys.argv[2])
for key in ("command", "extra_args"):
    if key in config:
        config[key] = tuple(config[key])
classes = {"pipe": PipeConfig, "dovecot_lda": DovecotLdaConfig, "maildrop": MaildropConfig}
relay = getattr(kinds, make)(classes[make](**config), context)
helper = SpawnHelper(registry, min_uid=min_uid, log=Log())
helper.start()
state.mkdir()
os.chown(state, 65534, 65534)
become(find_identity(ServiceKeys(user="nobody")))
relay.start()
envelope = Envelope(
    sender="alice@example.org",
    recipients=tuple(Recipient(number=n, address=address) for n, address in enumerate(addresses)),
    content=Content(MemoryBody(b"Subject: x\\r\\n\\r\\nhello\\r\\n")),
    client=Client(ip="192.0.2.1"),
    received_at=time.time(),
)
began = time.monotonic()
replies = relay.attempt(envelope, Attempt(queue_id=QueueId("q123456789"), queue="main", number=1, deadline_s=60.0))
took_s = time.monotonic() - began
facts = relay.health()
relay.stop()
helper.stop()
print(json.dumps([[str(replies[n]) for n in sorted(replies)], facts.status.value, took_s]))
"""


@pytest.fixture
def deliver(need, public_folder):
    """Deliver to addresses by a relay of this kind in a service that is nobody; gives the replies."""
    need(root=True)

    def run(kind, *addresses, min_uid=1, **config):
        arguments = [str(public_folder), json.dumps([kind, config, addresses, min_uid])]
        done = subprocess.run(
            [sys.executable, "-c", SERVICE, *arguments], capture_output=True, text=True, timeout=120, cwd="/"
        )
        assert 0 == done.returncode, done.stderr
        run.replies, run.health, run.took_s = json.loads(done.stdout.splitlines()[-1])
        return run.replies

    return run


@pytest.fixture
def inbox(public_folder):
    """A folder where everybody may write."""
    path = public_folder / "inbox"
    path.mkdir()
    path.chmod(0o1777)
    return path


@pytest.fixture
def keep(program_for_all, inbox):
    """A command that keeps the message in a file that the user owns."""
    return [
        program_for_all(f'umask 077; cat >"{inbox}/$1"; id -un >>"{inbox}/$1.who"; env >"{inbox}/$1.env"'),
        "{recipient}",
    ]


@pytest.fixture
def program_for_all(public_folder):
    """A shell script that every user may run."""

    def make(script):
        path = public_folder / "lda"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


def owner(path):
    return pwd.getpwuid(path.stat().st_uid).pw_name


class TestUser:
    def test_a_message_is_delivered_by_the_user_that_the_address_names(self, deliver, keep, inbox):
        replies = deliver("pipe", "daemon@d", "Mail+x@d", command=keep, run_as="{user}")

        assert ["250 2.0.0 Delivered"] * 2 == replies
        assert ["daemon", "mail"] == [owner(inbox / "daemon@d"), owner(inbox / "Mail+x@d")]
        assert (
            "Return-Path: <alice@example.org>\nDelivered-To: daemon@d\nSubject: x\n\nhello\n"
            == (inbox / "daemon@d").read_text()
        )

    def test_its_environment_is_the_user_s(self, deliver, keep, inbox):
        deliver("pipe", "daemon@d", command=keep, run_as="{user}")

        lines = set((inbox / "daemon@d.env").read_text().splitlines())

        home = pwd.getpwnam("daemon").pw_dir
        assert {f"HOME={home}", "USER=daemon", "LOGNAME=daemon", "RECIPIENT=daemon@d", "QUEUE_ID=q123456789"} <= lines

    def test_a_user_that_is_fixed_delivers_for_everybody(self, deliver, keep, inbox):
        deliver("pipe", "bob@d", "root@d", command=keep, run_as="mail")

        assert ["mail", "mail"] == [owner(inbox / "bob@d"), owner(inbox / "root@d")]

    def test_one_process_may_serve_all(self, deliver, keep, inbox):
        replies = deliver("pipe", "bob@d", "eve@d", command=keep, run_as="mail", per_recipient=False)

        assert (["250 2.0.0 Delivered"] * 2, "mail") == (replies, owner(inbox / "bob@d"))


class TestRefusals:
    def test_mail_for_nobody_that_there_is_bounces(self, deliver, keep):
        assert ["550 5.1.1 Unknown user"] == deliver("pipe", "no-such-user-here@d", command=keep, run_as="{user}")

    @pytest.mark.parametrize(("user", "min_uid"), [("root", 1), ("daemon", 500)])
    def test_mail_for_those_who_must_not_run_anything_waits_for_the_operator(self, deliver, keep, inbox, user, min_uid):
        (reply,) = deliver("pipe", f"{user}@d", command=keep, run_as="{user}", min_uid=min_uid)

        assert ("451 4.3.5 Local configuration error", []) == (reply, list(inbox.iterdir()))

    def test_a_program_that_is_not_there_defers(self, deliver):
        (reply,) = deliver("pipe", "daemon@d", command=["/nonexistent/lda"], run_as="{user}")

        assert ("451 4.3.5 Local configuration error", "degraded") == (reply, deliver.health)

    def test_the_others_are_delivered_all_the_same(self, deliver, keep):
        replies = deliver("pipe", "no-such-user-here@d", "daemon@d", command=keep, run_as="{user}")

        assert ["550", "250"] == [reply[:3] for reply in replies]


class TestProcess:
    @pytest.mark.parametrize(
        ("script", "reply"),
        [
            ("echo nobody here; exit 67", "550 5.1.1 Unknown user: nobody here"),
            ("kill -KILL $$", "451 4.3.0"),
            ("exit 75", "451 4.3.0"),
        ],
    )
    def test_its_end_is_judged_as_ever(self, deliver, program_for_all, script, reply):
        (got,) = deliver("pipe", "daemon@d", command=[program_for_all(script)], run_as="{user}")

        assert got.startswith(reply)

    def test_one_that_hangs_is_ended_at_its_limit(self, deliver, program_for_all, inbox, wait_until):
        script = f"trap '' TERM; echo $$ >{inbox}/pid; sleep 600 & echo $! >>{inbox}/pid; wait; wait"
        hanging = {"command": [program_for_all(script)], "run_as": "{user}", "kill_grace_s": 0.2}

        for timeout_s in (0.5, 5.0, 25.0):  # long enough to start both
            (got,) = deliver("pipe", "daemon@d", timeout_s=timeout_s, **hanging)
            if (inbox / "pid").exists() and len(pids := (inbox / "pid").read_text().split()) == 2:
                break

        assert (True, True) == (got.startswith("451 4.4.2"), deliver.took_s < 50)
        assert 2 == len(pids)
        wait_until(lambda: not any(is_running(pid) for pid in pids))

    def test_dovecot_lda_delivers_as_the_user_into_the_user_s_maildir(self, need, deliver, public_folder):
        need(LDA, root=True)
        home, conf = public_folder / "home", public_folder / "dovecot.conf"
        home.mkdir()
        os.chown(home, pwd.getpwnam("daemon").pw_uid, pwd.getpwnam("daemon").pw_gid)
        conf.write_text(
            f"log_path = /dev/stderr\nmail_location = maildir:{home}/Maildir\nfirst_valid_uid = 0\n"
            "postmaster_address = p@example.test\nhostname = mx\nsendmail_path = /bin/false\nfirst_valid_gid = 0\n"
        )

        (reply,) = deliver("dovecot_lda", "daemon@d", run_as="{user}", user="", extra_args=["-c", str(conf)])

        (message,) = (home / "Maildir/new").iterdir()
        assert ("250 2.0.0 Delivered", "daemon") == (reply, owner(message))


class TestConfiguration:
    def test_without_a_helper_it_is_a_mistake(self, context):
        with pytest.raises(ValueError, match=r"^run_as: .* needs spawn_helper = true"):
            kinds.pipe(PipeConfig(command=("/bin/true",), run_as="{user}"), context)

    def test_a_name_that_nothing_has_is_one(self):
        with pytest.raises(ValueError, match="did you mean"):
            PipeConfig(command=("/bin/true",), run_as="{usr}")

    def test_one_process_for_all_has_one_user(self):
        with pytest.raises(ValueError, match="per_recipient"):
            PipeConfig(command=("/bin/true",), run_as="{user}", per_recipient=False)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
