"""The configurations among the examples serve, with nothing replaced but ports, paths and names of this machine."""

from __future__ import annotations

import smtplib
import tomllib

import gevent
import pytest

from .programs import EXAMPLES, PATIENCE_S, ask_smtp, module_of

MESSAGE = b"From: alice@example.com\r\nSubject: hello\r\n\r\nhello\r\n"
KEEPER = "#!/bin/sh\nprintf '%s\\n' \"$@\" > {folder}/arguments\ncat > {folder}/message\n"


@pytest.fixture
def keeper(tmp_path):
    """A program that takes a message, and keeps it with its arguments."""
    program = tmp_path / "keeper"
    program.write_text(KEEPER.format(folder=tmp_path))
    program.chmod(0o700)
    return program


@pytest.fixture
def serve(mdacore_service, tmp_path):
    """Starts a service of an example; each text to replace has to stand in it."""

    def serve(name, *modules, **replaced):
        text = (EXAMPLES / name).read_text()
        for old, new in replaced["replaced"].items():
            assert old in text
            text = text.replace(old, str(new))
        tables = tomllib.loads(text)
        wanted = tables.pop("plugins")
        given = [f"policy_{provider.kind}" for module in modules for provider in module.mdacore_policies()]
        assert set(given) <= set(wanted)
        plugins = [*(plugin for plugin in wanted if plugin not in given), *modules]
        return mdacore_service(tables, plugins=plugins)

    return serve


def maildir(service, user):
    return [path.read_text() for path in service.state_path.glob(f"maildirs/example.com/{user}/new/*")]


@pytest.mark.needs("openssl")
def test_public_mx_takes_mail_for_its_recipients_under_tls(serve, tmp_path, certificate):
    (tmp_path / "recipients").write_text("alice@example.com OK\n")
    service = serve(
        "public_mx.toml",
        replaced={
            "[::]:25": "127.0.0.1:0",
            'user = "mdacore"\n': "\n",
            "/etc/mdacore/tls/": f"{tmp_path}/",
            "/etc/mdacore/": f"{tmp_path}/",
            "/run/spamd/": f"{tmp_path}/",
            'greet_delay_s = "1s"': 'greet_delay_s = "0s"',
        },
    )

    def talk(client):
        client.starttls(context=certificate.trusted)
        recipients = ["alice@example.com", "postmaster@example.com", "eve@example.com", "eve@example.net"]
        return client.sendmail("stranger@example.org", recipients, MESSAGE)

    refused = ask_smtp(talk, service.address())
    service.wait_until_idle()

    assert {"eve@example.com": 550, "eve@example.net": 550} == {who: reply[0] for who, reply in refused.items()}
    assert {"TLSv1.3"} == {line["tls"] for line in service.log.of("edge.session_closed")}
    mail = maildir(service, "alice")  # spamd does not run here
    assert mail
    assert all("X-Spam-Checked: failed" in message and "with ESMTPS" in message for message in mail)


@pytest.mark.needs("openssl")
def test_submission_delivers_at_home_and_hands_the_rest_to_sendmail(serve, tmp_path, certificate, keeper):
    plugin = module_of(EXAMPLES / "password_file/mdacore_policy_password_file.py")
    (tmp_path / "users").write_text(plugin.line_of("alice@example.com", "hers"))
    (tmp_path / "users").chmod(0o600)
    service = serve(
        "submission.toml",
        plugin,
        replaced={
            "[::]:587": "127.0.0.1:0",
            "[::]:465": "127.0.0.1:0",
            'user = "mdacore"\n': "\n",
            "/etc/mdacore/tls/": f"{tmp_path}/",
            "/etc/mdacore/": f"{tmp_path}/",
            "/usr/sbin/sendmail": keeper,
        },
    )

    def talk(client):
        client.starttls(context=certificate.trusted)
        client.login("alice@example.com", "hers")
        client.sendmail("alice@example.com", ["bob@example.com", "carol@example.net", "dave@example.org"], MESSAGE)

    ask_smtp(talk, service.address())
    service.wait_until_idle()

    assert 1 == len(maildir(service, "bob"))
    assert ["-i", "-f", "alice@example.com", "--"] == (tmp_path / "arguments").read_text().split()[:4]
    assert "Message-Id: <" in (tmp_path / "message").read_text()


def test_behind_postfix_tells_each_recipient_what_became_of_the_mail(serve, tmp_path, keeper):
    service = serve(
        "behind_postfix.toml",
        replaced={
            "/var/spool/postfix/mdacore/": f"{tmp_path}/",
            'socket_group = "postfix"': "",
            'kind = "dovecot_lda"': f'kind = "dovecot_lda"\npath = "{keeper}"',
        },
    )

    def talk(recipient):
        with smtplib.LMTP(str(tmp_path / "lmtp.sock"), timeout=PATIENCE_S) as client:
            client.ehlo()
            client.mail("stranger@example.org")
            client.rcpt(recipient)
            client.rcpt("bob@example.com")
            return [client.data(MESSAGE)[0], client.getreply()[0]]  # smtplib itself waits for one reply only

    def send(recipient):
        return gevent.get_hub().threadpool.apply(talk, [recipient])

    assert [250, 250] == send("alice@example.com")
    keeper.write_text("#!/bin/sh\n[ $6 != carol@example.com ] || exit 67\n")
    assert [550, 250] == send("carol@example.com")
    assert [] == service.entries()
