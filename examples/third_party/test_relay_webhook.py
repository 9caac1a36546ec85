"""The relay keeps the contract of all relays, and what the hook says becomes the right reply."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from mdacore.testing import RelayContract, make_attempt, make_envelope

from mdacore_relay_webhook import WebhookConfig, WebhookRelay

HOOK = Path(__file__).with_name("hook.py")


@contextlib.contextmanager
def hook(folder, status=204):
    """The hook as a process of its own, which answers with this status; gives its URL."""
    with subprocess.Popen([sys.executable, HOOK, folder, str(status)], stdout=subprocess.PIPE) as process:
        yield process.stdout.readline().decode().strip()
        process.kill()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with hook(tmp_path_factory.mktemp("hook")) as url:
        yield url


class TestWebhookRelay(RelayContract):
    @pytest.fixture(autouse=True)
    def posts_to(self, url):
        self.url = url

    def make_relay(self, context):
        return WebhookRelay(WebhookConfig(url=self.url), context)


def test_the_hook_gets_the_envelope_and_the_message_as_it_was_received(mdacore_context, tmp_path):
    envelope = make_envelope("bob@example.test", sender="eve@example.test", message=b"Subject: x\r\n\r\n\xff\r\n")

    with hook(tmp_path / "hook") as url:
        relay = WebhookRelay(WebhookConfig(url=url), mdacore_context())
        replies = relay.attempt(envelope, make_attempt())

    assert {0: "250 2.0.0 Posted"} == {number: str(reply) for number, reply in replies.items()}
    assert b"Subject: x\r\n\r\n\xff\r\n" == (tmp_path / "hook/0.eml").read_bytes()
    facts = json.loads((tmp_path / "hook/0.json").read_text())
    assert ("eve@example.test", ["bob@example.test"]) == (facts["sender"], facts["recipients"])


@pytest.mark.parametrize(("status", "code"), [(200, 250), (302, 451), (401, 451), (404, 451), (422, 554), (503, 451)])
def test_only_what_speaks_of_the_message_fails_it(mdacore_context, tmp_path, status, code):
    with hook(tmp_path, status) as url:
        relay = WebhookRelay(WebhookConfig(url=url), mdacore_context())
        replies = relay.attempt(make_envelope("bob@example.test"), make_attempt())

    assert {0: code} == {number: reply.code for number, reply in replies.items()}


def test_a_hook_that_is_not_there_defers_and_the_log_says_why(mdacore_context, mdacore_log):
    relay = WebhookRelay(WebhookConfig(url="http://127.0.0.1:1/"), mdacore_context())

    replies = relay.attempt(make_envelope("bob@example.test"), make_attempt())

    assert {0: 451} == {number: reply.code for number, reply in replies.items()}
    assert "ConnectionRefusedError" in mdacore_log.one("webhook.failed").fields["error"]


@pytest.mark.parametrize("url", ["hooks.example.com", "ftp://example.com/", "https:///mail"])
def test_what_is_no_url_is_refused_with_a_sentence(url):
    with pytest.raises(ValueError, match="is not a URL like"):
        WebhookConfig(url=url)
