"""What `mdacore plan` prints."""

import re
import socket
from textwrap import dedent

from mdacore.assembly import render_plan

TEXT = """\
[service]
hostname = "mx.example.com"

[edges.mx]
validators = ["users", "lists"]
password = "hunter2"
[edges.mx.tls]
certificate = "/dev/null"

[queues.main]
storage = "spool"
policies = ["tag"]
relay_policies = ["sign"]
relay = "rest"
lifetime_s = "36h"
[[queues.main.routes]]
domains = ["example.org", "Example.com"]
relay = "local"

[policies.tag]
[policies.users]
kind = "ask"
[policies.lists]
kind = "ask"
on_error = "accept"
[policies.sign]
kind = "sign"
[policies.spare]

[storages.spool]
[relays.local]
[relays.rest]
concurrency = 3
"""


class TestRenderPlan:
    def test_way_of_the_mail_is_in_the_order_of_things(self, plan_of, tmp_path):
        text = render_plan(plan_of(TEXT))

        expected = f"""\
            configuration  {tmp_path}/mda.toml
            host name      mx.example.com
            state folder   {tmp_path}/state  # --state
            plugins        fake_edge 1.0, fake_storage 1.0, fake_policy 1.0, fake_relay 1.0
            not used       policies.spare

            The way of the mail

              edge mx (fake)
                asks      1. users (ask), on error defer, at rcpt
                          2. lists (ask), on error accept, at rcpt
                hands to  queue main

              queue main
                applies        tag (tag), on error defer
                stores in      spool (file): Nothing survives anything.
                per attempt    sign (sign), on error defer
                relays         example.com, example.org -> local (sink)
                               every other domain -> rest (sink)
                retries after  1m, 5m*3, 15m*2, 30m, 1h*2, 2h*; after 36h back to the sender

            Every value and where it comes from
            """
        assert text.startswith(dedent(expected))

    def test_each_value_has_its_origin(self, plan_of, tmp_path):
        text = render_plan(plan_of(TEXT, environ={"MDACORE__RELAYS__REST__PATH": "/srv"}))

        expected = f"""\
            [relays.rest]
            kind              = "sink"  # default
            concurrency       = 3       # {tmp_path}/mda.toml:33
            concurrency_start = 5       # default
            suspension_max_s  = 900     # default
            deadline_s        = 600     # default
            faults_max        = 3       # default
            pause_max_s       = 60      # default
            path              = "/srv"  # MDACORE__RELAYS__REST__PATH
            """
        assert text.endswith(dedent(expected))

    def test_what_a_left_out_key_means_is_shown(self, plan_of):
        text = render_plan(plan_of(TEXT.replace("hostname", "# hostname")))

        assert 'queue           = "main"' in text
        assert re.search(rf'hostname += "{re.escape(socket.gethostname())}" +# default', text)

    def test_secret_is_not_shown(self, plan_of):
        text = render_plan(plan_of(TEXT))

        assert "hunter2" not in text
        assert 'password        = "***"' in text

    def test_tables_within_tables_are_shown_with_their_path(self, plan_of):
        text = render_plan(plan_of(TEXT))

        assert 'tls.certificate = "/dev/null"' in text
        assert 'routes[0].relay   = "local"' in text
