"""The full tour: SMTP in, SpamAssassin, the durable queue, and dovecot-lda with a Sieve script that files spam.

Dovecot and spamd are processes of the demo's own, with configuration, sockets and mail of their own; the system's are
neither used nor touched. Dovecot is here for its user database: dovecot-lda asks it whose mailbox is where.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from demo_stage import RECIPIENT, Failed, Process, Stage, only_file, quote, running, send, shown, stay, wait_for

PACKAGES = {
    "dovecot-core": ("dovecot", "dovecot-lda"),
    "dovecot-sieve": ("sievec",),
    "spamd": ("spamd",),
}
SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/lib/dovecot:/usr/libexec/dovecot"
RULES = ("/etc/spamassassin", "/etc/mail/spamassassin")
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

MDACORE = """\
plugins = ["edge_smtp", "storage_shelve", "policy_headers", "policy_spamassassin", "relay_lda"]

[edges.mx]
kind = "smtp"
listen = ["127.0.0.1:{port}"]
domains = ["localhost"]

[queues.main]
storage = "spool"
policies = ["headers", "spam"]
relay = "local"

[policies.headers]
kind = "headers"

[policies.spam]
kind = "spamassassin"
address = {spamd}

[storages.spool]
kind = "shelve"

[relays.local]
kind = "dovecot_lda"
path = {lda}
extra_args = ["-c", {dovecot}]
"""

DOVECOT = """\
base_dir = {run}/dovecot
state_dir = {run}
log_path = /dev/stderr
protocols =
ssl = no
hostname = localhost
postmaster_address = postmaster@localhost
sendmail_path = /bin/false
first_valid_uid = 1
mail_home = {mail}
mail_location = maildir:~/%u
lda_mailbox_autocreate = yes
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} allow_all_users=yes
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
protocol lda {{
  mail_plugins = sieve
}}
plugin {{
  sieve = file:~/junk.sieve
}}
"""

DOVECOT_WITHOUT_ROOT = """\
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

SIEVE = """\
require "fileinto";
if header :contains "X-Spam-Status" "YES" {
    fileinto "Junk";
}
"""

SPAMASSASSIN = "use_bayes 0\nskip_rbl_checks 1\ndns_available no\nreport_safe 0\nrequired_score 5.0\n"


def show(stage: Stage, *, port: int, once: bool) -> int:
    """The tour: start all three, send a letter and spam, find both, follow the log, and stay."""
    programs = found_programs()
    with contextlib.ExitStack() as ending:
        run = ending.enter_context(run_folder())
        mail = mail_folder(stage, run)
        print("1. Starting dovecot, spamd and the service, each with a configuration of the demo's own:", flush=True)
        dovecot = ending.enter_context(running_dovecot(programs, stage, run, mail))
        spamd = ending.enter_context(running_spamd(programs, stage, run))
        config = stage.folder / "mda.toml"
        values = {"spamd": f"unix:{spamd}", "dovecot": str(dovecot), "lda": programs["dovecot-lda"]}
        config.write_text(MDACORE.format(port=port, **{name: json.dumps(value) for name, value in values.items()}))
        process = ending.enter_context(stage.service("--config", shown(config)))
        print(f"2. It accepts mail on 127.0.0.1:{stage.port} for localhost.  Its log: {shown(stage.log)}")
        send_both(stage)
        show_both(stage, process, mail / RECIPIENT)
        if once:
            print("Done; everything is being stopped.")
            return 0
        return invite(stage, process, mail / RECIPIENT)


def send_both(stage: Stage) -> None:
    """A letter, and what SpamAssassin has to call spam."""
    print(f"3. Sending two messages to {RECIPIENT} over SMTP, as any mail client would ...")
    letter = "SpamAssassin has read this message, and dovecot-lda has delivered it.\n"
    print(f"     a letter:               {send(stage.port, subject='Hello from the demo', text=letter)}")
    print(f"     with the GTUBE string:  {send(stage.port, subject='Not for the inbox', text=GTUBE)}")
    print("     that is said only once a message has its verdict and is on disk, and would survive a crash.")


def show_both(stage: Stage, process: Process, maildir: Path) -> None:
    """Both messages where dovecot-lda has put them, and their way there in the log."""
    wait_for(lambda: stage.has_event("queue.delivered", 2), process, "the messages were not delivered", stage.log)
    inbox, junk = only_file(maildir), only_file(maildir / ".Junk")
    if inbox is None or junk is None:
        raise Failed(f"one of the messages is not where it should be: look into {shown(maildir)}")
    print(f"4. dovecot-lda has put the letter into the inbox:  {shown(inbox)}\n")
    print(quote(inbox.read_text()))
    print(f"5. The other one says X-Spam-Status: YES, so the Sieve script {shown(maildir.parent / 'junk.sieve')}")
    print(f"   has filed it into Junk:  {shown(junk)}\n")
    print(quote(junk.read_text()))
    print("6. The log follows each from the client to the delivery under one session_id:")
    print("".join(f"     {line}\n" for line in stage.story()))


def invite(stage: Stage, process: Process, maildir: Path) -> int:
    """How to go on; returns when the service has ended."""
    print("Send the next one yourself, while the service is running:")
    print(f"     swaks --server 127.0.0.1:{stage.port} --to {RECIPIENT}           (if you have swaks)")
    print(f"     swaks --server 127.0.0.1:{stage.port} --to {RECIPIENT} --body '{GTUBE}'")
    print(f"     python3 -c \"import smtplib; smtplib.SMTP('127.0.0.1', {stage.port}).sendmail(")
    print(f"         'me@example.org', '{RECIPIENT}', 'From: me@example.org\\nSubject: hello\\n\\nworld')\"")
    print(f"     and look into {shown(maildir)}/new/ and {shown(maildir)}/.Junk/new/")
    print("Ctrl-C ends the demo.", flush=True)
    return stay(process)


def found_programs() -> dict[str, str]:
    """Where each program is. Raises Failed with what to install."""
    paths = {name: shutil.which(name, path=SEARCHED) for names in PACKAGES.values() for name in names}
    missing = [package for package, names in PACKAGES.items() if not all(paths[name] for name in names)]
    if missing:
        raise Failed(f"--full needs programs that are not installed here: apt-get install {' '.join(missing)}")
    found = {name: path for name, path in paths.items() if path}
    version = subprocess.run([found["dovecot"], "--version"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("2.3."):
        raise Failed(f"--full has a configuration for Dovecot 2.3, which others do not read; this is {version.strip()}")
    return found


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """For sockets, whose paths must be short, and what other users have to reach; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="mdacore-demo-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unprivileged() -> pwd.struct_passwd:
    """Whom dovecot-lda delivers as and spamd scans as: both refuse to as root. Raises Failed."""
    try:
        return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise Failed("dovecot needs a user with a name, and this one has none in the user database") from None


def mail_folder(stage: Stage, run: Path) -> Path:
    """The home of all mailboxes, with their Sieve script: in the demo's folder, if its user can get there."""
    account = unprivileged()
    mail = stage.folder / "mail"
    if os.geteuid() == 0:
        is_reachable = all(folder.stat().st_mode & 0o001 for folder in stage.folder.parents)
        if is_reachable:
            stage.folder.chmod(0o711)
        else:
            mail = run / "mail"
    mail.mkdir(mode=0o700)
    script = mail / "junk.sieve"
    script.write_text(SIEVE)
    for path in (mail, script):
        os.chown(path, account.pw_uid, account.pw_gid)
    return mail


@contextlib.contextmanager
def running_dovecot(programs: dict[str, str], stage: Stage, run: Path, mail: Path) -> Iterator[Path]:
    """Dovecot with its user database and nothing that listens to the network; gives its configuration."""
    account = unprivileged()
    config = run / "dovecot.conf"
    text = DOVECOT.format(run=run, mail=str(mail).replace("%", "%%"), uid=account.pw_uid, gid=account.pw_gid)
    if os.geteuid() != 0:
        text += DOVECOT_WITHOUT_ROOT.format(user=account.pw_name, group=group_name(account.pw_gid))
    config.write_text(text)
    log = stage.folder / "dovecot.log"
    command = [programs["dovecot"], "-F", "-c", str(config)]
    print(f"     {' '.join(command)}", flush=True)
    with running(command, log) as process:
        wait_for((run / "dovecot" / "auth-userdb").is_socket, process, "dovecot did not start", log)
        yield config


@contextlib.contextmanager
def running_spamd(programs: dict[str, str], stage: Stage, run: Path) -> Iterator[Path]:
    """spamd with the rules of its package, without networks and without a memory; gives its socket."""
    account = unprivileged()
    settings, home, address = run / "spamassassin", run / "spamd-home", run / "spamd.sock"
    settings.mkdir()
    home.mkdir()
    os.chown(home, account.pw_uid, account.pw_gid)
    for file in (file for folder in RULES for file in Path(folder).glob("*.pre")):
        shutil.copy(file, settings)
    (settings / "local.cf").write_text(SPAMASSASSIN)
    log = stage.folder / "spamd.log"
    command = [
        programs["spamd"],
        f"--socketpath={address}",
        f"--siteconfigpath={settings}",
        f"--helper-home-dir={home}",
    ]
    command += ["--local", "--nouser-config", "--max-children=2", "--min-children=1", "--syslog=stderr"]
    command += [f"--username={account.pw_name}"] if os.geteuid() == 0 else []
    print(f"     {' '.join(command)}", flush=True)
    with running(command, log) as process:
        wait_for(lambda: accepts(address), process, "spamd did not start", log)
        yield address


def accepts(address: Path) -> bool:
    """Somebody listens there."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(address)) == 0


def group_name(gid: int) -> str:
    """For dovecot, which takes no numbers. Raises Failed."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        raise Failed("dovecot needs a group with a name, and this one has none in the group database") from None
