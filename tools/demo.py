"""The demo: a service with the embedded defaults, one real message through it, and how to send the next one.

Everything happens in ``demo-state/`` in the checkout; each run starts it anew.
"""

from __future__ import annotations

import argparse
import contextlib
import email.policy
import json
import shutil
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / "demo-state"
LOG = STATE / "log.jsonl"
PLUGINS = "edge_smtp,storage_shelve,policy_headers,relay_maildir"
RECIPIENT = "you@localhost"
PATIENCE_S = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="./demo", description=__doc__.splitlines()[0])
    parser.add_argument("--once", action="store_true", help="end after the message has arrived")
    parser.add_argument("--port", type=int, default=2525, help="where to listen on 127.0.0.1 (default: 2525)")
    options = parser.parse_args()
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(mode=0o700)
    try:
        with service(options.port) as process:
            return show(process, port=options.port, once=options.once)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        print(f"demo: what the service said is in {relative(LOG)}:", file=sys.stderr)
        print(LOG.read_text()[-2000:], file=sys.stderr)
        return 1


def show(process: subprocess.Popen[bytes], *, port: int, once: bool) -> int:
    """The tour: wait for the service, send, find what arrived, follow its log, and stay."""
    wait_for(lambda: has_event("service.started"), process, "the service did not start")
    print(f"2. It accepts mail on 127.0.0.1:{port} for localhost.  Its log: {relative(LOG)}")
    print(f"3. Sending a message to {RECIPIENT} over SMTP, as any mail client would ...")
    reply = send(port)
    print(f"     the service answered:  {reply}")
    print("     that is said only once the message is on disk and would survive a crash.")
    wait_for(lambda: arrived() is not None, process, "the message did not arrive")
    wait_for(lambda: has_event("queue.delivered"), process, "the delivery was not recorded")
    message = arrived()
    assert message is not None  # noqa: S101 - waited for above
    print(f"4. It arrived in a maildir:  {relative(message)}\n")
    print("".join(f"     | {line}\n" for line in message.read_text().splitlines()))
    print("5. The log follows it from the client to the maildir under one session_id:")
    print("".join(f"     {line}\n" for line in story()))
    if once:
        print("Done; the service is being stopped.")
        return 0
    print("Send the next one yourself, while the service is running:")
    print(f"     swaks --server 127.0.0.1:{port} --to {RECIPIENT}           (if you have swaks)")
    print(f"     python3 -c \"import smtplib; smtplib.SMTP('127.0.0.1', {port}).sendmail(")
    print(f"         'me@example.org', '{RECIPIENT}', 'Subject: hello\\n\\nworld')\"")
    print(f"     and look into {relative(message.parent)}/")
    print("Ctrl-C ends the demo.", flush=True)
    return process.wait()


@contextlib.contextmanager
def service(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`mdacore run` as a process of its own, ended with SIGTERM."""
    command = ["mdacore", "run", "--plugins", PLUGINS, "--state", relative(STATE)]
    if port != 2525:
        command += ["--set", f'edges.smtp.listen=["127.0.0.1:{port}"]']
    print(f"1. Starting:  {' '.join(command)}")
    with LOG.open("wb") as log, subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def send(port: int) -> str:
    """One message over SMTP; returns the service's reply to it."""
    message = EmailMessage()
    message["From"] = "Newcomer <newcomer@example.org>"
    message["To"] = f"<{RECIPIENT}>"
    message["Subject"] = "Hello from the demo"
    message.set_content("This message went in over SMTP, was stored durably, and was delivered.\n")
    with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE_S) as client:
        client.ehlo()
        client.mail("newcomer@example.org")
        client.rcpt(RECIPIENT)
        code, text = client.data(message.as_bytes(policy=email.policy.SMTP))
    if code != 250:
        raise Failed(f"the service refused the message: {code} {text.decode(errors='replace')}")
    return f"{code} {text.decode()}"


def arrived() -> Path | None:
    """The delivered message, if it is there."""
    return next((STATE / "maildirs").glob("*/*/new/*"), None)


def story() -> Iterator[str]:
    """The log lines of the message, short."""
    for event in events():
        if "session_id" in event:
            details = {key: event[key] for key in ("queue_id", "rcpts", "reply", "size_bytes") if key in event}
            yield f"{event['session_id']}  {event['event']:<22}" + "  ".join(f"{k}={v}" for k, v in details.items())


def has_event(name: str) -> bool:
    return any(event["event"] == name for event in events())


def events() -> Iterator[dict[str, object]]:
    for line in LOG.read_text().splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], otherwise: str) -> None:
    """Poll until the condition holds; Failed if the service ends first or patience does."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            raise Failed(otherwise)
        time.sleep(0.05)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Failed(Exception):
    """The demo could not show what it promised."""


if __name__ == "__main__":
    sys.exit(main())
