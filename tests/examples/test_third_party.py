"""A plugin that the core has never seen: installed from a wheel beside those of core and two plugins, run, and gone."""

from __future__ import annotations

import json
import shutil
import smtplib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "examples/third_party"
CONFIG = """
plugins = ["edge_smtp", "storage_shelve", "relay_webhook"]
edges.mx = { kind = "smtp", listen = ["127.0.0.1:0"], domains = ["example.test"] }
queues.main = { storage = "spool", relay = "hook" }
storages.spool = { kind = "shelve" }
relays.hook = { kind = "webhook", url = "URL" }
"""
MESSAGE = b"From: alice@example.org\r\nSubject: hello\r\n\r\nhello, stranger\r\n"


@pytest.fixture
def environment(new_environment, tmp_path):
    """Core, two plugins and the stranger's, each from its wheel, with what they declare to need."""
    return new_environment(
        tmp_path / "env", "mdacore", "mdacore-edge-smtp", "mdacore-storage-shelve", "mdacore-relay-webhook"
    )


@pytest.fixture
def hook(tmp_path):
    """The webhook of the example; gives its URL."""
    command = [sys.executable, PACKAGE / "hook.py", tmp_path / "hook"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip()
        process.kill()


def listed(environment):
    """The plugins that are installed, by name."""
    lines = environment.check("mdacore", "plugins", "--json").splitlines()
    return {plugin["plugin"]: plugin for plugin in map(json.loads, lines)}


def test_it_is_installed_serves_and_is_gone_when_it_is_uninstalled(environment, hook, tmp_path):
    assert {"edge_smtp", "storage_shelve", "relay_webhook"} == listed(environment).keys()
    assert environment.check("python", "-c", "import mdacore; print(mdacore.__file__)").startswith(str(tmp_path))

    (environment.path / "mda.toml").write_text(CONFIG.replace("URL", hook))
    run = ("mdacore", "run", "--config", "mda.toml", "--state", "state")
    with environment.serving(*run, log=tmp_path / "log") as service:
        with smtplib.SMTP("127.0.0.1", service.port()) as client:
            client.sendmail("alice@example.org", ["bob@example.test"], MESSAGE)
        delivered = json.loads(service.wait_for("queue.delivered"))
        assert 0 == service.end()

    assert "250 2.0.0 Posted" == delivered["reply"]
    assert (tmp_path / "hook/0.eml").read_bytes().endswith(MESSAGE)
    assert ["bob@example.test"] == json.loads((tmp_path / "hook/0.json").read_text())["recipients"]

    environment.check("pip", "uninstall", "-q", "-y", "mdacore-relay-webhook")
    assert {"edge_smtp", "storage_shelve"} == listed(environment).keys()
    refused = environment.run(*run)
    assert (78, "") == (refused.returncode, refused.stdout)
    (missing, count) = refused.stderr.splitlines()
    assert missing.startswith("mda.toml:2: plugins: no plugin 'relay_webhook' is installed")
    assert "mdacore: 1 problem in the configuration" == count


def test_its_own_tests_pass_where_it_is_installed(environment, tmp_path):
    for name in ("hook.py", "test_relay_webhook.py"):
        shutil.copy(PACKAGE / name, tmp_path)

    output = environment.check("pytest", "-q", "-W", "error", "-p", "no:cacheprovider", cwd=tmp_path)

    assert " passed" in output
    assert "skipped" not in output
