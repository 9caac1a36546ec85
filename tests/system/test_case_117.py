"""Acceptance case 117, in processes: a plugin that cannot be used is named, one that ends the process loses nothing."""

from __future__ import annotations

import contextlib
import re
import shutil
import smtplib
import subprocess
from pathlib import Path

import pytest

FAULTY = Path(__file__).parent / "site"

HEADER = """
import attrs
from mdacore import API_VERSION, Provider, hookimpl

@attrs.frozen(kw_only=True)
class Config:
    path: str = ""

def provider(**changes):
    return Provider(**{"kind": "mine", "config": Config, "build": print, "api": API_VERSION, **changes})
"""
GOOD = HEADER + "\n@hookimpl\ndef mdacore_relays():\n    yield provider()\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of distributions that the processes of one test find: the faulty plugin, and what is installed there."""
    site = tmp_path / "site"
    shutil.copytree(FAULTY, site, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return site


@pytest.fixture
def install(site):
    """Install a distribution with one plugin: ``install("bad", "raise ValueError")``."""

    def install_plugin(name, source, *, distribution="", version="2.1"):
        distribution = distribution or name.replace("_", "-")
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[mdacore]\n{name} = {name}\n")
        (site / f"{name}.py").write_text(source)

    return install_plugin


@pytest.fixture
def refusal(service, site):
    """Try to run with these plugins beside the usual ones; returns what is said on the way out, with exit 78."""

    def run(*plugins):
        names = ",".join(["edge_smtp", "storage_shelve", "policy_headers", "relay_maildir", *plugins])
        ended = subprocess.run(
            [*service.command("run"), "--plugins", names], capture_output=True, text=True, timeout=120
        )
        assert (78, "") == (ended.returncode, ended.stdout), ended.stderr
        assert "Traceback" not in ended.stderr
        assert not service.state.exists()
        return ended.stderr

    return run


@pytest.fixture
def faulty(service, site):
    """Configure the service with the faulty relay, whose keys are TOML."""
    config = service.folder / "mda.toml"

    def configure(**keys):
        lines = [f"{key} = {value!r}" for key, value in {"kind": "faulty", **keys}.items()]
        service.configure(relay="\n".join(lines))
        config.write_text(config.read_text().replace('"relay_maildir"', '"relay_maildir", "faulty"'))
        return service

    return configure


def send(service):
    with smtplib.SMTP("127.0.0.1", service.port) as client:
        client.sendmail("a@example.org", ["bob@example.test"], b"Subject: x\r\n\r\nx\r\n")


def delivered(service):
    return len(list((service.state / "faulty").iterdir()))


REJECTED = "--plugins: plugins: bad_one (bad-one 2.1) is rejected: "


# --- it cannot be used: exit 78, with plugin, distribution and version, and nothing is created


def test_case_117_fails_to_import(refusal, install):
    install("bad_one", "raise ValueError('not today')")

    assert f"{REJECTED}ValueError: not today" in refusal("bad_one")


def test_case_117_exits_on_import(refusal, install):
    install("bad_one", "import sys; sys.exit(0)")

    assert f"{REJECTED}SystemExit: 0" in refusal("bad_one")


def test_case_117_lacks_a_dependency(refusal, install):
    install("bad_one", "import no_such_library")

    assert f"{REJECTED}ModuleNotFoundError: No module named 'no_such_library'" in refusal("bad_one")


def test_case_117_has_a_syntax_error(refusal, install):
    install("bad_one", "def f(:")

    assert f"{REJECTED}SyntaxError: invalid syntax (bad_one.py, line 1)" in refusal("bad_one")


def test_case_117_raises_in_a_hook(refusal, install):
    install("bad_one", GOOD.replace("yield provider()", "raise OSError('no')"))

    assert f"{REJECTED}OSError: no" in refusal("bad_one")


def test_case_117_returns_rubbish_from_a_hook(refusal, install):
    install("bad_one", GOOD.replace("yield provider()", "return ['x']"))

    assert f"{REJECTED}mdacore_relays gave 'x', which is not a Provider" in refusal("bad_one")


def test_case_117_has_a_wrong_hook_signature(refusal, install):
    install("bad_one", GOOD.replace("mdacore_relays()", "mdacore_relays(config)"))

    said = refusal("bad_one")

    assert REJECTED in said
    assert "Argument(s) {'config'} are declared in the hookimpl" in said


@pytest.mark.parametrize("name", ["mdacore_relay", "mdacore_Relays", "mdacore_validators"])
def test_case_117_misspells_a_hook(refusal, install, name):
    install("bad_one", GOOD.replace("mdacore_relays", name))

    assert f"{REJECTED}{name} is not a hook; the hooks are mdacore_edges, " in refusal("bad_one")


def test_case_117_is_written_for_another_api(refusal, install):
    install("bad_one", GOOD.replace("API_VERSION, **", "API_VERSION + 1, **"))

    assert f"{REJECTED}relay kind 'mine' is written for API version 2, and this mdacore has 1" in refusal("bad_one")


def test_case_117_takes_a_kind_that_is_taken(refusal, install):
    """Both are refused, and both are named: nobody can know which one was meant."""
    install("bad_one", GOOD)
    install("bad_two", GOOD, version="0.3")

    said = refusal("bad_one", "bad_two")

    assert f"{REJECTED}its relay kind 'mine' is also offered by bad_two (bad-two 0.3)" in said
    assert "bad_two (bad-two 0.3) is rejected: its relay kind 'mine' is also offered by bad_one (bad-one 2.1)" in said


def test_case_117_registers_a_duplicate_name(refusal, install):
    install("bad_one", GOOD)
    install("bad_one", GOOD, distribution="other-one", version="0.3")

    said = refusal("bad_one")

    (both,) = re.findall(r"bad_one \(\S+ \S+\) is rejected: two distributions offer it: (.*)", said)
    assert ["bad-one 2.1", "other-one 0.3"] == sorted(both.split(" and "))


def test_case_117_offers_a_kind_twice(refusal, install):
    install("bad_one", GOOD + "    yield provider()\n")

    assert f"{REJECTED}mdacore_relays offers one kind twice" in refusal("bad_one")


def test_case_117_that_is_bad_and_not_named_hurts_nobody(service, install):
    install("bad_one", "raise SystemExit(1)")

    service.start()

    assert 0 == service.terminate()


# --- it ends


@pytest.mark.parametrize(("how", "cause"), [("raise", "RuntimeError('on purpose')"), ("exit", "SystemExit(3)")])
def test_case_117_raises_in_start(faulty, how, cause):
    service = faulty(at="start", how=how)

    ended = subprocess.run(service.command("run"), capture_output=True, text=True, timeout=120)

    assert (1, f"mdacore: relays.local: {cause}") == (ended.returncode, ended.stderr.splitlines()[-1])


@pytest.mark.parametrize("how", ["raise", "exit"])
@pytest.mark.parametrize("at", ["drain", "stop"])
def test_case_117_raises_at_the_end(faulty, at, how):
    """The others are stopped all the same, and the end is a good one."""
    service = faulty(at=at, how=how).start()

    assert 0 == service.terminate()

    assert ["relays.local"] == [event["component"] for event in service.events("service.stop_failed")]
    assert 1 == len(service.events("service.stopped"))


def test_case_117_calls_sys_exit(faulty):
    service = faulty(at="attempt", how="exit", times=2).start("--set", 'queues.main.retry="1s"')
    send(service)

    service.wait_for_event("queue.delivered")

    assert 2 == len(service.events("plugin.failed"))
    assert 0 == service.terminate()


def test_case_117_calls_os_exit(faulty, tmp_path):
    """Nothing can stop that: the process is over. Whoever restarts it finds all that was accepted."""
    service = faulty(at="attempt", how="exit_at_once", once_file=str(tmp_path / "once")).start()
    with contextlib.suppress(smtplib.SMTPServerDisconnected):  # it may be over before its last reply has left
        send(service)
    assert 7 == service.process.wait(120)

    service.start()

    service.wait_for_event("queue.delivered")
    assert 0 == service.terminate()
    assert 1 == delivered(service)


# --- it stands in the way


def test_case_117_blocks_the_hub(faulty):
    """It cannot be stopped; the log names it while it lasts, and what it did counts."""
    service = faulty(at="attempt", how="block", times=1).start("--set", "service.blocked_s=0.2")
    send(service)

    service.wait_for_event("queue.delivered")
    service.wait_until(
        lambda: max((event["blocked_s"] for event in service.events("service.unblocked")), default=0) > 2,
        "it was not seen to be over",
    )
    blocked, *_ = [event for event in service.events("service.blocked") if event["component"] == "relays.local"]
    assert re.fullmatch(r"faulty\.Faulty\._block:\d+", blocked["function"])
    assert 0 == service.terminate()


def test_case_117_blocks_the_hub_without_letting_go(faulty):
    """Code that keeps the interpreter's lock can be named by nobody, but it does not go unnoticed."""
    service = faulty(at="attempt", how="block_for_good", times=1).start("--set", "service.blocked_s=0.2")
    send(service)

    assert service.wait_for_event("service.unblocked")["blocked_s"] > 0.2
    service.wait_for_event("queue.delivered")
    assert 0 == service.terminate()


# --- it goes away


def test_case_117_unregisters_during_traffic(faulty, site):
    """A service is assembled once: what it runs stays, whatever becomes of the files and the metadata."""
    service = faulty().start()
    send(service)
    service.wait_for_event("queue.delivered")

    shutil.rmtree(site)
    send(service)

    service.wait_for_event("queue.delivered", count=2)
    assert 0 == service.terminate()
    ended = subprocess.run(service.command("run"), capture_output=True, text=True, timeout=120)
    assert (78, True) == (ended.returncode, "no plugin 'faulty' is installed" in ended.stderr)
