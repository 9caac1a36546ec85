"""The demo: a service, real messages through it, and how to send the next one.

Without options it has mdacore's embedded defaults and needs nothing else; ``--full`` is in `demo_full`. Everything
happens in ``demo-state/`` in the checkout; each run starts it anew.
"""

from __future__ import annotations

import argparse
import smtplib
import sys
from pathlib import Path

import demo_full
from demo_stage import (
    RECIPIENT,
    ROOT,
    Failed,
    Process,
    Stage,
    Stopped,
    only_file,
    quote,
    send,
    shown,
    signals_are_taken_in_pause,
    stay,
    wait_for,
)

PLUGINS = "edge_smtp,storage_shelve,policy_headers,relay_maildir"


def main() -> int:
    parser = argparse.ArgumentParser(prog="./demo", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--full", action="store_true", help="with SpamAssassin and dovecot-lda, where they are installed")
    add("--once", action="store_true", help="end after the mail has arrived")
    add("--port", type=int, default=2525, help="where to listen on 127.0.0.1; 0 = any that is free (default: 2525)")
    add("--state", type=Path, default=ROOT / "demo-state", help="a folder for the demo alone (default: demo-state)")
    options = parser.parse_args()
    stage = Stage(options.state)
    show = demo_full.show if options.full else show_defaults
    with signals_are_taken_in_pause():
        try:
            with stage.prepared():
                return show(stage, port=options.port, once=options.once)
        except Stopped:
            print("\nStopped.")
            return 0
        except (Failed, smtplib.SMTPException, OSError) as failure:
            print(f"demo: {failure}", file=sys.stderr)
            return 1


def show_defaults(stage: Stage, *, port: int, once: bool) -> int:
    """The tour: start, send, find what arrived, follow its log, and stay."""
    print("1. Starting the service:")
    options = ["--plugins", PLUGINS]
    if port != 2525:
        options += ["--set", f'edges.smtp.listen=["127.0.0.1:{port}"]']
    with stage.service(*options) as process:
        print(f"2. It accepts mail on 127.0.0.1:{stage.port} for localhost.  Its log: {shown(stage.log)}")
        print(f"3. Sending a message to {RECIPIENT} over SMTP, as any mail client would ...")
        text = "This message went in over SMTP, was stored durably, and was delivered.\n"
        reply = send(stage.port, subject="Hello from the demo", text=text)
        print(f"     the service answered:  {reply}")
        print("     that is said only once the message is on disk and would survive a crash.")
        show_arrival(stage, process)
        if once:
            print("Done; the service is being stopped.")
            return 0
        return invite(stage, process)


def show_arrival(stage: Stage, process: Process) -> None:
    """The message in its maildir, and its way there in the log."""
    maildir = stage.folder / "maildirs" / "localhost" / "you"
    wait_for(lambda: only_file(maildir) is not None, process, "the message did not arrive", stage.log)
    wait_for(lambda: stage.has_event("queue.delivered"), process, "the delivery was not recorded", stage.log)
    message = only_file(maildir)
    assert message is not None  # noqa: S101 - waited for above
    print(f"4. It arrived in a maildir:  {shown(message)}\n")
    print(quote(message.read_text()))
    print("5. The log follows it from the client to the maildir under one session_id:")
    print("".join(f"     {line}\n" for line in stage.story()))


def invite(stage: Stage, process: Process) -> int:
    """How to go on; returns when the service has ended."""
    print("Send the next one yourself, while the service is running:")
    print(f"     swaks --server 127.0.0.1:{stage.port} --to {RECIPIENT}           (if you have swaks)")
    print(f"     python3 -c \"import smtplib; smtplib.SMTP('127.0.0.1', {stage.port}).sendmail(")
    print(f"         'me@example.org', '{RECIPIENT}', 'Subject: hello\\n\\nworld')\"")
    print(f"     and look into {shown(stage.folder)}/maildirs/localhost/you/new/")
    print("Ctrl-C ends the demo.", flush=True)
    return stay(process)


if __name__ == "__main__":
    sys.exit(main())
