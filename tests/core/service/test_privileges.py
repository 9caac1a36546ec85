"""Giving up root's rights, as real processes do it: each scenario runs in one of its own."""

from __future__ import annotations

import os
import pwd
import re
import signal
import smtplib
import subprocess
import sys
from pathlib import Path

import pytest

MDACORE = str(Path(sys.executable).parent / "mdacore")

DROP = """
import os, sys
from mdacore.assembly.config import ServiceKeys
from mdacore.assembly.identity import find_identity
from mdacore.service import privileges
identity = find_identity(ServiceKeys(user="nobody"))
"""

CONFIG = """
plugins = ["edge_smtp", "storage_shelve", "relay_maildir"]
[service]
user = "nobody"
pid_file = "{folder}/run/mda.pid"
[edges.mx]
listen = ["127.0.0.1:0"]
domains = ["example.test"]
[queues.main]
storage = "spool"
relay = "local"
[storages.spool]
[relays.local]
"""


@pytest.mark.usefixtures("root")
class TestDrop:
    def test_the_process_is_the_user_with_its_groups_and_no_capability(self, run_script, nobody):
        (ids,) = run_script(
            DROP
            + """
privileges.become(identity)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.getresuid(), os.getresgid(), os.getgroups(), int(status["CapEff"], 16), int(status["CapPrm"], 16))
"""
        )

        uid, gid = nobody.pw_uid, nobody.pw_gid
        assert f"{(uid,) * 3} {(gid,) * 3} {[gid]} 0 0" == ids

    def test_it_can_never_be_root_again(self, run_script):
        lines = run_script(
            DROP
            + """
privileges.become(identity)
for way in (lambda: os.setuid(0), lambda: os.seteuid(0), lambda: os.setgid(0), lambda: os.setgroups([0])):
    try:
        way()
    except PermissionError:
        print("no")
"""
        )

        assert ["no"] * 4 == lines

    def test_groups_that_it_was_started_with_are_gone(self, run_script, nobody):
        (groups,) = run_script(
            DROP.replace("identity =", "os.setgroups([0, 4, 8]); identity =")
            + "privileges.become(identity)\nprint(os.getgroups())"
        )

        assert str([nobody.pw_gid]) == groups

    def test_more_groups_and_another_one_can_be_asked_for(self, run_script):
        (groups,) = run_script(
            DROP.replace('user="nobody"', 'user="nobody", group="mail", supplementary_groups=("daemon",)')
            + "privileges.become(identity)\nimport grp\nprint(*sorted(grp.getgrgid(g).gr_name for g in os.getgroups()))"
        )

        assert "daemon mail" == groups

    def test_the_environment_tells_of_the_user(self, run_script, nobody):
        lines = run_script(
            DROP + 'privileges.become(identity)\nfor n in ("HOME", "USER", "LOGNAME"): print(os.environ[n])'
        )

        assert [nobody.pw_dir, "nobody", "nobody"] == lines

    @pytest.mark.parametrize(
        ("way_back", "what"),
        [
            ("os.setresuid(identity.uid, identity.uid, 0)", "can be root again"),
            ("os.setresuid(identity.uid, identity.uid, 0)", "user ["),
            ("pass", "user ["),
        ],
    )
    def test_a_way_back_is_noticed(self, run_script, way_back, what):
        (error,) = run_script(
            DROP
            + f"""
os.setgroups([identity.gid]); os.setresgid(identity.gid, identity.gid, identity.gid)
{way_back}
try:
    privileges.prove(identity)
except PermissionError as error:
    print(error)
"""
        )

        assert what in error

    def test_a_group_that_stayed_is_noticed(self, run_script):
        (error,) = run_script(
            DROP
            + """
os.setgroups([identity.gid, 0])
os.setresgid(*[identity.gid] * 3); os.setresuid(*[identity.uid] * 3)
try:
    privileges.prove(identity)
except PermissionError as error:
    print(error)
"""
        )

        assert "groups [0, " in error

    def test_with_a_thread_it_is_not_begun(self, run_script):
        lines = run_script(
            DROP
            + """
import gevent
from pathlib import Path
gevent.get_hub().threadpool.apply(lambda: None)
try:
    privileges.Privileges(identity, Path("/"), None).start()
except PermissionError as error:
    print(error, "|", os.getuid())
"""
        )

        assert [True] == [line.startswith("1 threads") and line.endswith("| 0") for line in lines]


@pytest.mark.usefixtures("root")
def test_a_state_folder_of_somebody_else_is_named_with_its_cure(run_script, public_folder):
    (error,) = run_script(
        DROP
        + """
from pathlib import Path
privileges.become(identity)
for module in (os, privileges.mdacore):
    module.__file__ = "/"  # where this Python is, is not the matter here
try:
    privileges.check_reach(Path(sys.argv[1]), "nobody")
except PermissionError as error:
    print(error)
""",
        public_folder,
    )

    assert f"nobody may not write into the state folder; chown -R nobody {public_folder}" == error


def start(folder, before=()):
    """`mdacore run`; its log is in the folder."""
    command = [*before, MDACORE, "run", "--config", f"{folder}/mda.toml", "--state", f"{folder}/new/state"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd="/")


@pytest.fixture
def served(public_folder, nobody, opened, wait_until):
    """A service that was started by root and serves as nobody, with a pid file in a folder of nobody's."""
    (public_folder / "mda.toml").write_text(CONFIG.format(folder=public_folder))
    (public_folder / "run").mkdir()
    os.chown(public_folder / "run", nobody.pw_uid, nobody.pw_gid)
    process = start(public_folder, opened)
    try:
        wait_until(lambda: process.poll() is not None or b"service.started" in (public_folder / "log").read_bytes())
        assert process.poll() is None, (public_folder / "log").read_text()
        yield process, public_folder
    finally:
        process.kill()
        process.wait()


def ids_of(pid, name):
    return set(re.search(rf"^{name}:\s*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.M)[1].split())


@pytest.mark.usefixtures("root")
class TestService:
    def test_it_serves_as_the_user_and_all_that_it_makes_is_the_user_s(self, served, nobody, wait_until):
        process, folder = served
        log = (folder / "log").read_text()
        port = int(re.search(r"127\.0\.0\.1:(\d+)", log)[1])

        with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
            client.sendmail("a@example.org", "bob@example.test", b"Subject: x\r\n\r\nhello\r\n")
        wait_until(lambda: list((folder / "new/state").glob("**/new/*")), "the delivery")

        made = [folder / "new/state", *(folder / "new/state").rglob("*")]
        assert {nobody.pw_uid} == {path.lstat().st_uid for path in made}
        assert {str(nobody.pw_uid)} == ids_of(process.pid, "Uid")
        assert {str(nobody.pw_gid)} == ids_of(process.pid, "Groups") | ids_of(process.pid, "Gid")
        assert "service.privileges_dropped" in log

    def test_every_thread_of_it_is_the_user(self, served, nobody):
        process, _ = served
        tasks = [path.name for path in Path(f"/proc/{process.pid}/task").iterdir()]

        assert len(tasks) > 1
        assert {str(nobody.pw_uid)} == set().union(*(ids_of(f"{process.pid}/task/{task}", "Uid") for task in tasks))

    def test_its_pid_file_is_there_while_it_runs(self, served):
        process, folder = served
        assert f"{process.pid}\n" == (folder / "run/mda.pid").read_text()

        process.send_signal(signal.SIGTERM)

        assert 0 == process.wait(120)
        assert not (folder / "run/mda.pid").exists()

    def test_a_pid_file_that_the_user_may_not_remove_is_left_empty(self, served):
        process, folder = served
        os.chown(folder / "run", 0, 0)

        process.send_signal(signal.SIGTERM)

        assert 0 == process.wait(120)
        assert "" == (folder / "run/mda.pid").read_text()

    def test_a_second_one_with_the_same_pid_file_does_not_start(self, served):
        _, folder = served
        log = (folder / "log").read_text()

        second = subprocess.run(
            [MDACORE, "run", "--config", str(folder / "mda.toml"), "--state", str(folder / "other")],
            capture_output=True, text=True, timeout=120, cwd="/",
        )  # fmt: skip

        assert 1 == second.returncode
        assert re.search(r"service\.pid_file: .*mda\.pid is held by process \d+", second.stderr)
        assert log == (folder / "log").read_text()


@pytest.mark.usefixtures("root")
def test_a_service_whose_state_folder_is_root_s_does_not_start_and_names_the_cure(public_folder, opened):
    """Not a storage's odd failure: the sentence that helps."""
    (public_folder / "mda.toml").write_text(CONFIG.format(folder=public_folder))
    (public_folder / "run").mkdir()
    (public_folder / "new/state").mkdir(parents=True)

    assert 1 == start(public_folder, opened).wait(120)
    state = f"{public_folder}/new/state"
    assert f"nobody may not write into the state folder; chown -R nobody {state}" in (public_folder / "log").read_text()


@pytest.mark.usefixtures("root")
def test_without_a_user_root_is_warned_once(public_folder, wait_until):
    config = CONFIG.format(folder=public_folder).replace('user = "nobody"', "")
    (public_folder / "mda.toml").write_text(config)
    (public_folder / "run").mkdir()
    process = start(public_folder)
    try:
        wait_until(lambda: b"service.started" in (public_folder / "log").read_bytes())
    finally:
        process.kill()
        process.wait()

    assert 1 == (public_folder / "log").read_text().count("service.privileges_kept")


OTHER_USERS = """
plugins = ["edge_smtp", "storage_shelve", "relay_lda"]
[service]
user = "nobody"
spawn_helper = true
min_uid = 1
[edges.mx]
listen = ["127.0.0.1:0"]
domains = ["example.test"]
[queues.main]
storage = "spool"
relay = "local"
[storages.spool]
[relays.local]
kind = "pipe"
command = ["{folder}/lda", "{{user}}"]
run_as = "{{user}}"
"""


@pytest.fixture
def helped(public_folder, opened, wait_until):
    """A service that serves as nobody and delivers as the recipient, by a script that a test writes."""
    (public_folder / "mda.toml").write_text(OTHER_USERS.format(folder=public_folder))
    (public_folder / "inbox").mkdir()
    (public_folder / "inbox").chmod(0o1777)

    def serve(script):
        (public_folder / "lda").write_text(f"#!/bin/sh\n{script}\n")
        (public_folder / "lda").chmod(0o755)
        processes.append(start(public_folder, opened))
        wait_until(lambda: b"service.started" in (public_folder / "log").read_bytes())
        return processes[-1], int(re.search(r"127\.0\.0\.1:(\d+)", (public_folder / "log").read_text())[1])

    processes = []
    yield serve
    for process in processes:
        process.kill()
        process.wait()


def child_of(pid):
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.usefixtures("root")
class TestOtherUsers:
    def test_mail_is_delivered_as_its_recipient_by_a_service_that_is_nobody(self, helped, public_folder, wait_until):
        process, port = helped(f"cat >{public_folder}/inbox/$1")

        with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
            client.sendmail("a@example.org", ["daemon@example.test", "mail@example.test"], b"Subject: x\r\n\r\nhi\r\n")
        wait_until(lambda: (public_folder / "log").read_text().count("queue.delivered"), "the delivery")

        owners = {path.name: pwd.getpwuid(path.stat().st_uid).pw_name for path in (public_folder / "inbox").iterdir()}
        assert {"daemon": "daemon", "mail": "mail"} == owners
        assert {"65534"} == ids_of(process.pid, "Uid")
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(120)

    def test_of_a_service_that_is_killed_neither_the_helper_nor_a_delivery_is_left(
        self, helped, public_folder, wait_until
    ):
        process, port = helped(f"echo $$ >{public_folder}/inbox/pid; exec sleep 600")
        helper = child_of(process.pid)
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
            client.sendmail("a@example.org", ["daemon@example.test"], b"Subject: x\r\n\r\nhi\r\n")
        wait_until(lambda: (public_folder / "inbox/pid").exists() and (public_folder / "inbox/pid").read_text())
        delivery = int((public_folder / "inbox/pid").read_text())

        process.kill()

        wait_until(lambda: not is_running(helper) and not is_running(delivery))

    def test_the_helper_holds_nothing_of_the_service(self, helped):
        """No port, no log, no lock: its socket is all that it has."""
        process, _ = helped("exit 0")
        helper = child_of(process.pid)

        held = {fd.name: str(fd.readlink()).partition(":")[0] for fd in Path(f"/proc/{helper}/fd").iterdir()}

        assert ["/dev/null", "/dev/null", "socket"] == [target for name, target in sorted(held.items()) if name != "2"]
        assert "mdacore-spawn" == Path(f"/proc/{helper}/comm").read_text().strip()


def test_another_user_without_the_helper_is_an_error_of_configuration(public_folder):
    text = OTHER_USERS.format(folder=public_folder).replace("spawn_helper = true", "").replace('user = "nobody"', "")
    (public_folder / "lda").touch(mode=0o755)
    (public_folder / "mda.toml").write_text(text)

    checked = subprocess.run(
        [MDACORE, "check", "--config", f"{public_folder}/mda.toml", "--state", f"{public_folder}/state"],
        capture_output=True, text=True, timeout=120, cwd="/",
    )  # fmt: skip

    assert 78 == checked.returncode
    assert re.search(r"relays\.local: run_as: .* needs spawn_helper = true in \[service\]", checked.stderr)
