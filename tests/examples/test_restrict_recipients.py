"""The validator that restricts recipients, at a real edge."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from mdacore.testing import ValidatorsContract, run_dialogue

FILE = Path(__file__).resolve().parents[2] / "examples/restrict_recipients/mdacore_policy_restrict_recipients.py"


@pytest.fixture(scope="module")
def plugin():
    """The module, which is installed nowhere."""
    spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tables(*addresses):
    edge = {"kind": "smtp", "listen": ["127.0.0.1:0"], "domains": ["example.test"], "validators": ["staff"]}
    return {
        "edges": {"mx": edge},
        "policies": {"staff": {"kind": "restrict_recipients", "addresses": addresses}},
    }


def test_who_is_not_on_the_list_is_refused_at_rcpt(mdacore_service, plugin):
    service = mdacore_service(tables("bob@example.test", "@Lists.Example.test"), plugins=["edge_smtp", plugin])

    run_dialogue(
        """
        S: 220 *
        C: HELO client.example.org
        S: 250 *
        C: MAIL FROM:<alice@example.org>
        S: 250 *
        C: RCPT TO:<eve@example.test>
        S: 550 5.1.1 No such recipient here
        C: RCPT TO:<bob@EXAMPLE.test>
        S: 250 *
        C: RCPT TO:<Bob@example.test>
        S: 550 5.1.1 No such recipient here
        """,
        service.address(),
    )

    assert ["eve@example.test", "Bob@example.test"] == [line["rcpt"] for line in service.log.of("recipient.refused")]


def test_a_message_reaches_only_who_is_on_the_list(mdacore_service, plugin):
    service = mdacore_service(tables("bob@example.test"), plugins=["edge_smtp", plugin])

    refused = service.send_smtp("bob@example.test", "eve@example.test")
    service.wait_until_idle()

    assert {"eve@example.test": 550} == {address: reply.code for address, reply in refused.items()}
    assert [["bob@example.test"]] == [[one.address for one in envelope.recipients] for envelope in service.seen()]


class TestContract(ValidatorsContract):
    @pytest.fixture(autouse=True)
    def module(self, plugin):
        self.plugin = plugin

    def make_policy(self, context):
        config = self.plugin.RestrictConfig(addresses=("bob@example.test",))
        return self.plugin.RestrictRecipients(config, context)
