"""
Tests for the fixtures of pytest: suites that use them are run as processes.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from unittest import skipIf

from patience import PATIENCE
from peers import eventually
from subprocesses import alive, killIfAlive, python, whenGone
from suites import ENVIRONMENT, PYTEST, Suite
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource.sink.tls import available


class ImportTests(SynchronousTestCase):
    """
    What those pay who have the plugin and don't use it.
    """

    def test_nothing(self):
        """
        Beside pytest nothing is imported but a few modules of ours.
        """
        code = (
            "import sys, pytest; before = set(sys.modules); import smtpsource.testing.pytestplugin;"
            "print(*sorted(set(sys.modules) - before))"
        )
        done = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, timeout=PATIENCE)
        ours = ["smtpsource", "smtpsource._version", "smtpsource.testing", "smtpsource.testing.pytestplugin"]
        self.assertEqual(done.stdout.decode().split(), ours)

    def test_used(self):
        """
        Also who uses it has no Twisted in the process.
        """
        text = """
            def test_it(smtp_sink):
                import sys
                send(smtp_sink)
                assert len(smtp_sink.wait_for(1)) == 1
                assert not {"twisted", "attrs", "zope"} & set(sys.modules)
        """
        Suite(self, text).passed()

    def test_found(self):
        """
        pytest finds the plugin by itself where this package is installed.
        """
        suite = Suite(self, "def test_it(smtp_sink):\n    send(smtp_sink)\n")
        done = suite.run("-q", program=("-m", "pytest", "-p", "no:cacheprovider"), PYTEST_DISABLE_PLUGIN_AUTOLOAD="")
        self.assertEqual(done.returncode, 0, done.stdout)


class SinkTests(SynchronousTestCase):
    """
    What a test has.
    """

    def test_messages(self):
        """
        Messages are those of Python's email package, with the envelope and the session beside them.
        """
        text = """
            RECIPIENTS = ["b@example.com", "c@example.com"]

            def test_it(smtp_sink):
                with smtplib.SMTP(smtp_sink.host, smtp_sink.port, "client.test") as client:
                    client.login("user", "secret")
                    client.send_message(
                        message(subject="Grüße", text=".\\nÄ\\n"), "other@example.com", RECIPIENTS,
                        mail_options=["ENVID=7", "SMTPUTF8"], rcpt_options=["NOTIFY=NEVER"],
                    )
                [found] = smtp_sink.messages
                assert isinstance(found, EmailMessage)
                assert (found["Subject"], found["From"]) == ("Grüße", "a@example.com")
                assert found.get_content() == ".\\nÄ\\n"
                envelope, session = found.envelope, found.session
                assert (envelope.mail_from, envelope.rcpt_tos) == ("other@example.com", RECIPIENTS)
                assert envelope.parameters["ENVID"] == "7" and envelope.parameters["SMTPUTF8"] == ""
                assert envelope.rcpt_parameters == [{"NOTIFY": "NEVER"}] * 2
                assert (session.client, session.helo, session.protocol) == ("127.0.0.1", "client.test", "ESMTP")
                assert (session.tls, session.user, found.number, found.fate) == (False, "user", 1, "")
                assert found.raw.endswith(b"\\r\\n") and b"\\r\\n\\r\\n" in found.raw
                assert "to b@example.com, c@example.com: 'Grüße'" in repr(found)
                assert smtp_sink.url == f"smtp://127.0.0.1:{smtp_sink.port}"
        """
        Suite(self, text).passed()

    def test_waiting(self):
        """
        What is waited for may be there, or come from another thread; if it does not come, what came is told.
        """
        text = """
            import threading

            def test_it(smtp_sink):
                threads = [threading.Thread(target=send, args=(smtp_sink, f"{n}@example.com")) for n in range(5)]
                for thread in threads:
                    thread.start()
                assert len(smtp_sink.wait_for(5, timeout=60)) == 5
                [found] = smtp_sink.wait_for(recipient="3@*", sender="A@*", subject="h?llo")
                assert found["To"] == "3@example.com"
                for thread in threads:
                    thread.join()
                with pytest.raises(AssertionError) as e:
                    smtp_sink.wait_for(2, timeout=0.01, recipient="3@example.com")
                said = str(e.value)
                assert said.startswith("expected 2 messages, recipient '3@example.com', within 0.01 s; these have")
                assert "from 'a@example.com' to 0@example.com: 'Hello'" in said and said.count("\\n") == 5
                smtp_sink.reset()
                with pytest.raises(AssertionError, match="expected 1 message within 0 s; no message has come"):
                    smtp_sink.wait_for(timeout=0)
                for n, timeout, said in (0, 1, "n: 0 is"), (1, "1s", "timeout: '1s' is"), (10**6, 1, "count"):
                    with pytest.raises(ValueError, match=said):
                        smtp_sink.wait_for(n, timeout)
        """
        Suite(self, text).passed()

    def test_crowd(self):
        """
        Many can wait at once, more than the sink lets wait.
        """
        text = """
            from concurrent.futures import ThreadPoolExecutor

            def test_it(smtp_sink):
                with ThreadPoolExecutor(40) as pool:
                    found = [pool.submit(smtp_sink.wait_for, 1, timeout=100) for _ in range(40)]
                    send(smtp_sink)
                    assert {len(each.result()) for each in found} == {1}
        """
        Suite(self, text).passed()

    def test_stopped(self):
        """
        Who waits for a process that does not answer is told in time.
        """
        text = """
            import os, signal
            from smtpsource.testing import remotesink

            def test_it(smtp_sink, monkeypatch):
                monkeypatch.setattr(remotesink, "_PATIENCE", 0.1)
                os.kill(smtp_sink.pid, signal.SIGSTOP)
                try:
                    with pytest.raises(RuntimeError, match="the sink at 127.0.0.1:.* does not answer"):
                        smtp_sink.wait_for(timeout=0.1)
                finally:
                    os.kill(smtp_sink.pid, signal.SIGCONT)
        """
        Suite(self, text).passed()

    def test_bounds(self):
        """
        What did not fit is told: messages that had to give way, and those of which only the beginning is there.
        """
        text = """
            def test_it(smtp_sink_factory):
                sink = smtp_sink_factory(keep=2)
                for _ in range(3):
                    send(sink)
                with pytest.raises(AssertionError) as e:
                    sink.wait_for(2, timeout=0, recipient="c@example.com")
                assert "  1 more had come before and had to give way (keep=2, keep_bytes=64m)" in str(e.value)
                sink = smtp_sink_factory(keep_bytes=1000)
                send(sink, text="Text.\\n" * 1000)
                [found] = sink.messages
                assert found.truncated and len(found.raw) == 1000 and found.size > 6000
                assert f"the first 1000 of {found.size} octets" in repr(found)
        """
        Suite(self, text).passed()

    def test_empty(self):
        """
        Nothing of one test is there in the next: no messages, transcripts or rules, nor what rules have seen; no pause.
        """
        text = """
            pids = set()

            @pytest.mark.parametrize("n", range(3))
            def test_it(smtp_sink, n):
                assert (smtp_sink.messages, smtp_sink.transcripts, smtp_sink.transcript) == ([], [], "")
                assert smtp_sink.rules() == {"rule": []}
                rule = smtp_sink.rule(on="mail", times=1, name="once", do={"reply": "451 4.7.1 once"})
                with pytest.raises(smtplib.SMTPSenderRefused):
                    send(smtp_sink)
                send(smtp_sink)
                assert (rule.count, len(smtp_sink.messages), len(smtp_sink.transcripts)) == (1, 1, 2)
                assert "451 4.7.1 once" in smtp_sink.transcripts[0] and "451" not in smtp_sink.transcript
                smtp_sink.pause()
                pids.add(smtp_sink.pid)
                assert len(pids) == 1
        """
        Suite(self, text).passed()

    def test_oldSessions(self):
        """
        Who is still connected when a test begins is no more: what they have said and sent is not the next test's.
        """
        text = """
            clients = []

            def test_first(smtp_sink):
                smtp_sink.rule(on="mail", do={"delay": "1h"})
                client = smtplib.SMTP(smtp_sink.host, smtp_sink.port)
                client.send(b"EHLO x\\r\\nAUTH PLAIN AHVzZXIAc2VjcmV0\\r\\nMAIL FROM:<a@b.test>\\r\\n")
                assert client.getreply()[0] == 250
                clients.append(client)

            def test_second(smtp_sink):
                smtp_sink.assert_no_plaintext_auth()
                assert clients[0].getreply()[0] == 235
                with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
                    clients[0].getreply()
                clients[0].close()
                assert (smtp_sink.transcripts, smtp_sink.messages) == ([], [])

            def test_reset(smtp_sink):
                with smtplib.SMTP(smtp_sink.host, smtp_sink.port) as client:
                    client.ehlo()
                    client.user, client.password = "user", "secret"
                    client.auth("PLAIN", client.auth_plain)
                    smtp_sink.reset()
                    smtp_sink.assert_no_plaintext_auth()
                    assert smtp_sink.transcripts == []
                    client.noop()
                    assert "NOOP" in smtp_sink.transcript.upper()
        """
        Suite(self, text).passed()

    def test_wider(self):
        """
        Fixtures of a wider scope can have the sink of the tests before they begin, or one of their own.
        """
        text = """
            @pytest.fixture(scope="session")
            def address(smtp_sink_session):
                return smtp_sink_session.host, smtp_sink_session.port, smtp_sink_session.users["user"]

            @pytest.fixture(scope="module")
            def relay(smtp_sink_session_factory):
                return smtp_sink_session_factory(users={"jane": "secret"})

            @pytest.mark.parametrize("n", range(2))
            def test_it(address, relay, smtp_sink, smtp_sink_session, n):
                assert address == (smtp_sink.host, smtp_sink.port, "secret")
                send(smtp_sink)
                assert len(smtp_sink.messages) == len(smtp_sink_session.messages) == 1
                send(relay)
                assert (len(relay.messages), len(relay.transcripts), relay.users) == (n + 1, n + 1, {"jane": "secret"})
                with open("notes", "a") as file:
                    file.write(f"{relay.pid}\\n")
        """
        suite = Suite(self, text)
        suite.passed()
        self.assertEqual(len(set(suite.noted())), 1)
        self.assertEqual([pid for pid in suite.noted() if alive(pid)], [])

    def test_rules(self):
        """
        Rules can be added, removed and replaced; what is wrong with one is told in a line.
        """
        text = """
            from pathlib import Path

            TOML = '[[rule]]\\non = "quit"\\ndo = { reply = "221 2.0.0 ciao" }\\n'

            def test_it(smtp_sink, tmp_path):
                with smtp_sink.rule(on=["mail", "rcpt"], when={"sender": "a@*"}, do={"reply": "550 5.7.1 no"}) as rule:
                    with pytest.raises(smtplib.SMTPSenderRefused):
                        send(smtp_sink)
                    assert rule.count == 1
                rule.remove()
                send(smtp_sink)
                Path(tmp_path, "rules.toml").write_text(TOML)
                with smtp_sink.rule(on="mail", do={"reply": "451 4.7.1 all"}):
                    for code in 452, 550:
                        smtp_sink.rule(on="mail", times=1, do={"reply": f"{code} as told"})
                        with pytest.raises(smtplib.SMTPSenderRefused) as e:
                            send(smtp_sink)
                        assert e.value.smtp_code == code
                smtp_sink.rules(TOML)
                for document in TOML, Path(tmp_path, "rules.toml"), smtp_sink.rules():
                    smtp_sink.rules("")
                    smtp_sink.rules(document)
                    send(smtp_sink)
                    assert "221 2.0.0 ciao" in smtp_sink.transcript
                for wrong in {"on": "rcp", "do": {"close": True}}, {"on": "rcpt", "do": {"close": True}, "wen": {}}:
                    with pytest.raises(ValueError) as e:
                        smtp_sink.rule(**wrong)
                    assert "expected" in str(e.value) and "\\n" not in str(e.value)
                with pytest.raises(ValueError, match="expected"):
                    smtp_sink.rules("[[rule")
                Path(tmp_path, "rules.toml").write_text("[[rule")
                for content in b"[[rule", b"\\xff", b"[[rule]]":
                    Path(tmp_path, "rules.toml").write_bytes(content)
                    with pytest.raises(ValueError, match=f"^{tmp_path}/rules.toml: .*expected"):
                        smtp_sink.rules(Path(tmp_path, "rules.toml"))
                with pytest.raises(ValueError, match="^do.reply: b'550 no' is not usable: expected"):
                    smtp_sink.rule(on="rcpt", do={"reply": b"550 no"})
                for wrong in b"rcpt", 5:
                    with pytest.raises(ValueError, match=f"on: {wrong} is not usable: expected"):
                        smtp_sink.rule(on=wrong, do={"close": True})
        """
        Suite(self, text).passed()

    def test_silent(self):
        """
        A sink that pauses answers when it goes on, or when the next test begins.
        """
        text = """
            def test_pause(smtp_sink):
                with smtplib.SMTP(smtp_sink.host, smtp_sink.port) as client:
                    smtp_sink.pause()
                    client.putcmd("NOOP")
                    client.sock.settimeout(0.05)
                    with pytest.raises(smtplib.SMTPServerDisconnected):
                        client.getreply()
                smtp_sink.pause()

            def test_resumed(smtp_sink):
                send(smtp_sink)
                smtp_sink.pause()
                smtp_sink.resume()
                send(smtp_sink)
        """
        Suite(self, text).passed()

    def test_plaintext(self):
        """
        Who sends a password in plain text is named; in TLS, or without the password, it is none.
        """
        text = """
            def test_plain(smtp_sink):
                smtp_sink.assert_no_plaintext_auth()
                with smtplib.SMTP(smtp_sink.host, smtp_sink.port, "careless.test") as client:
                    client.ehlo()
                    client.user, client.password = "user", "secret"
                    client.auth("CRAM-MD5", client.auth_cram_md5)
                smtp_sink.assert_no_plaintext_auth()
                with smtplib.SMTP(smtp_sink.host, smtp_sink.port, "careless.test") as client:
                    client.ehlo()
                    client.user, client.password = "user", "secret"
                    client.auth("PLAIN", client.auth_plain)
                    for _ in range(600):
                        client.noop()
                assert "careless.test" not in smtp_sink.transcript
                with pytest.raises(AssertionError) as e:
                    smtp_sink.assert_no_plaintext_auth()
                session = "of 127.0.0.1 (careless.test): AUTH PLAIN without TLS, as user"
                assert session in str(e.value)
                said = "".join(smtp_sink.transcripts)
                assert "secret" not in said and "AHVzZXIAc2VjcmV0" not in said
        """
        Suite(self, text).passed()

    @skipIf(not available(), "there is no TLS here")
    def test_tls(self):
        """
        A client can verify the certificate, in STARTTLS and from the beginning; a password in TLS is for nobody else.
        """
        text = """
            def login(client):
                client.user, client.password = "user", "secret"
                client.ehlo()
                client.auth("LOGIN", client.auth_login)
                client.send_message(message())

            def test_it(smtp_sink, smtp_sink_factory, tmp_path):
                context = ssl.create_default_context(cafile=smtp_sink.ca_file)
                for host in "localhost", "127.0.0.1":
                    with smtplib.SMTP(host, smtp_sink.port) as client:
                        client.starttls(context=context)
                        for _ in range(600):
                            client.noop()
                        login(client)
                smtp_sink.assert_no_plaintext_auth()
                assert [m.session.tls for m in smtp_sink.messages] == [True, True]
                other = smtp_sink_factory(tls=True)
                assert (other.url, other.users) == (f"smtps://127.0.0.1:{other.port}", None)
                with pytest.raises(ssl.SSLCertVerificationError):
                    smtplib.SMTP_SSL("localhost", other.port, context=context)
                with smtplib.SMTP_SSL(
                    "localhost", other.port, context=ssl.create_default_context(cafile=other.ca_file)
                ) as client:
                    login(client)
                other.assert_no_plaintext_auth()
                assert other.messages[0].session.tls
                assert list(tmp_path.iterdir()) == []
                with pytest.raises(RuntimeError, match="this sink has no TLS"):
                    smtp_sink_factory(starttls=False).ca_file
        """
        Suite(self, text).passed()

    def test_lmtp(self):
        """
        C{lmtp_sink} speaks LMTP; over a UNIX socket, too.
        """
        text = """
            def test_it(lmtp_sink, smtp_sink, smtp_sink_factory, tmp_path):
                send(lmtp_sink)
                assert (lmtp_sink.messages[0].session.protocol, smtp_sink.messages) == ("LMTP", [])
                assert lmtp_sink.url.startswith("lmtp://127.0.0.1:")
                path = str(tmp_path / "socket")
                other = smtp_sink_factory(lmtp=True, address=f"unix:{path}")
                assert (other.url, other.path, other.port) == (f"unix:{path}", path, 0)
                with smtplib.LMTP(path) as client:
                    client.send_message(message())
                assert len(other.messages) == 1
        """
        Suite(self, text).passed()

    def test_factory(self):
        """
        The factory takes the command's options; what is wrong with one is told in a line.
        """
        text = r"""
            def test_it(smtp_sink_factory):
                sink = smtp_sink_factory(
                    users={"jane": "s:e"}, rule=['on = "quit", do = { reply = "221 2.0.0 ciao" }'], max_messages=1,
                    chunking=False, dsn=True, profile=None, hostname="mx.test",
                )
                assert sink.users == {"jane": "s:e"}
                with pytest.raises(TypeError):
                    sink.users["joe"] = "x"
                with smtplib.SMTP(sink.host, sink.port) as client:
                    client.login("jane", "s:e")
                    assert client.has_extn("dsn") and not client.has_extn("chunking")
                    client.send_message(message())
                # It has ended, and tells all the same.
                assert len(sink.messages) == 1 and "mx.test" in sink.transcript
                other = smtp_sink_factory(rule='on = "mail", times = 1, do = { reply = "451 4.7.1 once" }')
                for _ in range(2):
                    with pytest.raises(smtplib.SMTPSenderRefused):
                        send(other)
                    send(other)
                    other.reset()

            @pytest.mark.parametrize(("options", "said"), [
                ({"max_recipients": "x"}, "--max-recipients: 'x' is not usable: expected a whole number"),
                ({"max_recipient": 1}, "max_recipient: expected an option of smtpsink"),
                ({"report": "x"}, "report: expected an option of smtpsink that makes sense for a test"),
                ({"help": True}, "help: expected an option of smtpsink that makes sense for a test"),
                ({"users": {}}, "users: {} is not usable: expected passwords by the names of users, or None"),
                ({"auth_users": "x"}, "auth_users: expected an option of smtpsink, or users="),
                ({"users": {"a:b": "c"}}, "users: expected users and passwords that a file of users can have"),
                ({"address": "x:y"}, "address 'x:y' is not usable"),
                ({"rule": "nonsense"}, "--rule 1: expected TOML"),
                ({"tls": True, "tls_cert": "/does/not/exist"}, "--tls-cert"),
            ])
            def test_wrong(smtp_sink_factory, options, said):
                with pytest.raises(ValueError) as e:
                    smtp_sink_factory(**options)
                assert said in str(e.value) and "\n" not in str(e.value)

            def test_dns(smtp_sink, smtp_sink_factory):
                host, port = smtp_sink_factory(dns="0").dns
                assert host == "127.0.0.1" and port > 0 and smtp_sink.dns is None

            def test_taken(smtp_sink, smtp_sink_factory):
                with pytest.raises(RuntimeError, match="can't listen on inet:127.0.0.1:.*Address already in use"):
                    smtp_sink_factory(address=f"127.0.0.1:{smtp_sink.port}")
        """
        Suite(self, text).passed()


class FailureTests(SynchronousTestCase):
    """
    What is told of a test that fails.
    """

    def test_transcript(self):
        """
        The report of a test that fails has what was said, to each of its sinks; of one that passes, it has nothing.
        """
        text = """
            @pytest.fixture
            def mail(smtp_sink):
                send(smtp_sink)

            def test_failing(mail, smtp_sink_factory):
                send(smtp_sink_factory(hostname="mx.test"))
                smtp_sink_factory()
                assert False

            def test_passing(smtp_sink):
                send(smtp_sink, "nobody@example.com")
        """
        done = Suite(self, text).run("-rA")
        self.assertEqual(done.returncode, 1, done.stdout)
        parts = done.stdout.split("\n-----")
        sections = {part.strip("- \n").partition(" -")[0]: part for part in parts}
        self.assertIn("C: rcpt TO:<b@example.com>", sections["smtp_sink"])
        self.assertIn("S: 220 mx.test", sections["smtp_sink_factory 1"])
        self.assertIn("nobody has connected", sections["smtp_sink_factory 2"])
        self.assertNotIn("nobody@example.com", done.stdout)

    def test_bounded(self):
        """
        The report has the last sessions only, and of a long one its beginning and its end.
        """
        text = """
            def test_it(smtp_sink):
                for n in range(12):
                    with smtplib.SMTP(smtp_sink.host, smtp_sink.port, f"{n}.test") as client:
                        client.ehlo()
                        for m in range(200 * (n == 11)):
                            client.docmd("NOOP", str(m))
                assert False
        """
        said = Suite(self, text).run().stdout
        self.assertIn("the last 10 of 12 sessions:", said)
        self.assertNotIn(" C: ehlo 1.test", said)
        for text in (" C: ehlo 2.test", " C: ehlo 11.test", " C: NOOP 10\n", " C: NOOP 199\n", " more lines]\n"):
            self.assertIn(text, said)
        self.assertNotIn(" C: NOOP 100\n", said)

    def test_end(self):
        """
        The report is there also if it is the end of the last test that fails.
        """
        text = """
            @pytest.fixture
            def mail(smtp_sink, smtp_sink_factory):
                other = smtp_sink_factory()
                yield
                send(smtp_sink, "first@example.com")
                send(other, "second@example.com")
                assert False

            def test_it(mail):
                pass
        """
        said = Suite(self, text).run().stdout
        self.assertIn("1 passed, 1 error", said)
        self.assertIn("C: rcpt TO:<first@example.com>", said)
        self.assertIn("C: rcpt TO:<second@example.com>", said)

    def test_gone(self):
        """
        If a sink has been killed, its test says so and the next one has another.
        """
        text = """
            import os, signal

            def test_first(smtp_sink):
                os.kill(smtp_sink.pid, signal.SIGKILL)
                smtp_sink._spawned._process.wait()
                smtp_sink.messages

            def test_second(smtp_sink):
                send(smtp_sink)
                assert len(smtp_sink.messages) == 1
        """
        done = Suite(self, text).run()
        self.assertIn("SinkGone: can't ask the sink at 127.0.0.1:", done.stdout)
        self.assertIn("1 failed, 1 passed", done.stdout)


class ProcessTests(TestCase):
    """
    The processes that there are.
    """

    def test_workers(self):
        """
        Of 200 tests on four workers each sees its own mail only; each worker has a sink, and none is left.
        """
        text = """
            @pytest.mark.parametrize("n", range(200))
            def test_it(smtp_sink, n):
                send(smtp_sink, f"{n}@example.com")
                [found] = smtp_sink.wait_for(1)
                assert found.envelope.rcpt_tos == [f"{n}@example.com"]
                assert len(smtp_sink.messages) == 1
                with open("notes", "a") as file:
                    file.write(f"{smtp_sink.pid}\\n")
        """
        suite = Suite(self, text)
        self.assertIn("200 passed", suite.passed("-p", "xdist.plugin", "-n", "4"))
        pids = suite.noted()
        self.assertEqual((len(pids), len(set(pids))), (200, 4))
        self.assertEqual([pid for pid in set(pids) if alive(pid)], [])

    def test_ended(self):
        """
        When pytest has ended no sink is left, whatever became of the tests; one of the factory ends with its test.
        """
        text = """
            import os, signal

            def note(sink):
                with open("notes", "a") as file:
                    file.write(f"{sink.pid}\\n")

            def test_factory(smtp_sink_factory):
                note(smtp_sink_factory())

            def test_alive(smtp_sink):
                note(smtp_sink)
                with pytest.raises(ProcessLookupError):
                    os.kill(int(open("notes").read().split()[0]), 0)

            def test_interrupted(lmtp_sink):
                note(lmtp_sink)
                os.kill(os.getpid(), signal.SIGINT)
        """
        suite = Suite(self, text)
        self.assertEqual(suite.run().returncode, 2)
        self.assertEqual(len(suite.noted()), 3)
        self.assertEqual([pid for pid in suite.noted() if alive(pid)], [])

    @defer.inlineCallbacks
    def killed(self, *options):
        """
        Kill pytest while a test of its runs: its sinks end.
        """
        text = """
            import os, signal, subprocess, sys

            def test_it(smtp_sink, smtp_sink_factory):
                with open("notes", "a") as file:
                    for sink in smtp_sink, smtp_sink_factory():
                        file.write(f"{sink.pid}\\n")
                    pipe = sink._spawned._process.stdin.fileno()
                    command = [sys.executable, "-c", "import signal; signal.pause()"]
                    file.write(f"{subprocess.Popen(command, pass_fds=[pipe]).pid}\\n")
                with smtplib.SMTP(smtp_sink.host, smtp_sink.port) as client:
                    client.ehlo()
                    signal.pause()
        """
        suite = Suite(self, text)
        command = python(self, *PYTEST, *options, env=ENVIRONMENT, cwd=suite.directory)
        yield eventually(lambda: len(suite.noted()) == 3, "two sinks, and another process")
        *pids, other = suite.noted()
        for pid in (*pids, other):
            self.addCleanup(killIfAlive, pid)
            self.assertTrue(alive(pid))
        command.signal(signal.SIGKILL)
        yield command.whenEnded()
        for pid in pids:
            yield whenGone(pid)

    def test_killed(self):
        """
        C{kill -9} of pytest leaves no sink, also in the middle of a session, or where another process lives on and has
        what pytest had open.
        """
        return self.killed()

    def test_killedWithWorker(self):
        """
        So it does with a worker, which ends as well.
        """
        return self.killed("-p", "xdist.plugin", "-n", "1")
