"""
Tests for L{smtpsource.sink.auth}, L{smtpsource.sink.authenticator} and L{smtpsource.sink.secrets}, in memory: who may
log in, how, and that nobody reads a password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from hypothesis import strategies as st
from properties import given, settings
from sinks import Pair
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.credentials import Credentials, readUsers
from smtpsource.sink.authenticator import Authenticator, loadUsers
from smtpsource.sink.plan import SinkPlan
from smtpsource.smtp.sasl import Login
from smtpsource.smtp.scramkeys import Derivation


def coded(data):
    """
    @return: it in base64.
    """
    return base64.b64encode(data)


class AuthTestCase(SynchronousTestCase):
    """
    What all of these have in common.
    """

    def users(self, text="alice:secret\n# nobody:x\n\nb\u00f6b:p:a ss\n"):
        """
        @return: the path of a file of users.
        """
        path = self.mktemp()
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return os.path.abspath(path)

    def used(self, pair):
        """
        @return: what was counted.
        """
        return pair.counts.extensions({}).get("auth", {})


class MechanismTests(AuthTestCase):
    """
    Each mechanism, with and without a file of users.
    """

    def test_offered(self):
        """
        SCRAM-SHA-256 is there only with users, whose passwords it needs.
        """
        self.assertIn(b"250-AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2\r\n", Pair().say(b"EHLO x\r\n"))
        self.assertIn(
            b"250-AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2 SCRAM-SHA-256\r\n",
            Pair(authUsers=self.users()).say(b"EHLO x\r\n"),
        )
        self.assertEqual(Pair().codes(b"AUTH SCRAM-SHA-256\r\n"), [504])

    def test_plain(self):
        """
        PLAIN (RFC 4616), with its response in the command or after it.
        """
        for response, code in (
            (b"\0alice\0secret", 235),
            (b"id\0alice\0secret", 235),
            ("\0b\u00f6b\0p:a ss".encode(), 235),
            (b"\0alice\0wrong", 535),
            (b"\0carol\0secret", 535),
            (b"\0\xff\0secret", 535),
            (b"alice\0secret", 501),
            (b"\0\0secret", 501),
            (b"", 501),
        ):
            text = coded(response)
            for pair in (Pair(authUsers=self.users()), Pair(authUsers=self.users(), lmtp=True)):
                self.assertEqual(pair.codes(b"AUTH PLAIN " + (text or b"=") + b"\r\n"), [code], response)
            pair = Pair(authUsers=self.users())
            self.assertEqual(pair.say(b"auth plain\r\n"), b"334 \r\n")
            self.assertEqual(pair.codes(text + b"\r\n"), [code], response)
            self.assertEqual(self.used(pair), {235: {"accepted": 1}, 535: {"refused": 1}, 501: {}}[code])
            # Without users, only the form matters.
            self.assertEqual(Pair().codes(b"AUTH PLAIN " + (text or b"=") + b"\r\n"), [235 if code == 535 else code])

    def test_login(self):
        """
        LOGIN, with the user in the command or after it.
        """
        for password, code in ((b"secret", 235), (b"wrong", 535)):
            pair = Pair(authUsers=self.users())
            self.assertEqual(pair.say(b"AUTH LOGIN\r\n"), b"334 VXNlcm5hbWU6\r\n")
            self.assertEqual(pair.say(coded(b"alice") + b"\r\n"), b"334 UGFzc3dvcmQ6\r\n")
            self.assertEqual(pair.codes(coded(password) + b"\r\n"), [code])
            pair = Pair(authUsers=self.users())
            self.assertEqual(pair.say(b"AUTH LOGIN " + coded(b"alice") + b"\r\n"), b"334 UGFzc3dvcmQ6\r\n")
            self.assertEqual(pair.codes(coded(password) + b"\r\n"), [code])
            self.assertEqual(Pair().codes(b"AUTH LOGIN\r\n\r\n" + coded(password) + b"\r\n"), [334, 334, 235])

    def test_cramMD5(self):
        """
        CRAM-MD5 (RFC 2195): without users, any response of the right form.
        """
        for password, code in ((b"secret", 235), (b"wrong", 535)):
            pair = Pair(authUsers=self.users())
            challenge = base64.b64decode(pair.say(b"AUTH CRAM-MD5\r\n")[4:])
            self.assertRegex(challenge, b"^<[^@]+@smtp-sink>$")
            digest = hmac.new(password, challenge, "md5").hexdigest().encode()
            self.assertEqual(pair.codes(coded(b"alice " + digest) + b"\r\n"), [code])
        self.assertEqual(Pair().codes(b"AUTH CRAM-MD5\r\n" + coded(b"x " + b"0" * 32) + b"\r\n"), [334, 235])
        for response in (b"", b"x", b"x 12", b"x " + b"g" * 32):
            self.assertEqual(Pair().codes(b"AUTH CRAM-MD5\r\n" + coded(response) + b"\r\n"), [334, 501])
        # The server begins (RFC 4954 section 4).
        self.assertEqual(Pair().codes(b"AUTH CRAM-MD5 eA==\r\nNOOP\r\n"), [501, 250])

    def test_xoauth2(self):
        """
        XOAUTH2: the password is the token, and a refusal is told in a challenge before it is a reply.
        """
        for token, codes in ((b"secret", [235]), (b"wrong", [334, 535])):
            response = coded(b"user=alice\x01auth=Bearer " + token + b"\x01\x01")
            self.assertEqual(
                Pair(authUsers=self.users()).codes(b"AUTH XOAUTH2 " + response + b"\r\n" + b"\r\n" * (len(codes) - 1)),
                codes,
            )
            self.assertEqual(Pair().codes(b"AUTH XOAUTH2\r\n" + response + b"\r\n"), [334, 235])
        self.assertEqual(Pair().codes(b"AUTH XOAUTH2 eA==\r\n"), [501])

    def test_prepared(self):
        """
        Users and passwords are compared as SASLprep has them (RFC 4616 section 2, RFC 5802 section 5.1): our client
        can log in with what is in the file, by every mechanism.
        """
        me = Credentials("j\u00adoe", "se\u00adcret \u2168\u00a0x")
        path = self.users(f"{me.user}:{me.password}\n")
        for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "SCRAM-SHA-256"):
            pair, login = Pair(authUsers=path), Login(mechanism, me)
            reply = pair.say(login.command)
            while reply[:3] == b"334":
                response = login.respond(reply)
                reply = pair.say(login.derived(response.keys()) if isinstance(response, Derivation) else response)
            self.assertEqual(reply[:3], b"235", mechanism)
        for password in ("secret IXx", "se\u00adcret IX", "\x07"):
            pair = Pair(authUsers=path)
            self.assertEqual(pair.codes(b"AUTH PLAIN " + coded(f"\0joe\0{password}".encode()) + b"\r\n"), [535])

    def test_longToken(self):
        """
        A response may be longer than a command (RFC 4954 section 4), in the command or after it, but not endless.
        """
        response = coded(b"user=alice\x01auth=Bearer " + b"x" * 8000 + b"\x01\x01") + b"\r\n"
        self.assertEqual(Pair().codes(b"AUTH XOAUTH2 " + response), [235])
        pair = Pair()
        self.assertEqual(pair.codes(b"AUTH XOAUTH2\r\n"), [334])
        self.assertEqual(pair.say(response[:5000]), b"")
        self.assertEqual(pair.codes(response[5000:] + b"NOOP\r\n"), [235, 250])
        pair = Pair()
        self.assertEqual(pair.codes(b"AUTH XOAUTH2\r\n" + response * 2), [334, 235, 500])
        pair = Pair()
        self.assertEqual(pair.codes(b"AUTH XOAUTH2 " + b"c2VjcmV0" * 2000 + b"\r\n"), [500])
        self.assertNotIn("c2Vj", pair.counts.errors["line-too-long"][1])

    def scram(self, pair, user, password, initial=True, proof=None):
        """
        The client's side of SCRAM-SHA-256, as RFC 5802 section 3 has it.

        @return: the last reply.
        """
        bare = f"n={user},r=fyko+d2lbbFgONRv9qkxdawL"
        first = coded(("n,," + bare).encode())
        if initial:
            reply = pair.say(b"AUTH SCRAM-SHA-256 " + first + b"\r\n")
        else:
            self.assertEqual(pair.say(b"AUTH SCRAM-SHA-256\r\n"), b"334 \r\n")
            reply = pair.say(first + b"\r\n")
        if not reply.startswith(b"334 "):
            return reply
        serverFirst = base64.b64decode(reply[4:]).decode()
        attributes = dict(part.split("=", 1) for part in serverFirst.split(","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), base64.b64decode(attributes["s"]), int(attributes["i"])
        )

        def digest(key, text):
            return hmac.new(key, text, "sha256").digest()

        key = digest(salted, b"Client Key")
        withoutProof = f"c=biws,r={attributes['r']}"
        message = f"{bare},{serverFirst},{withoutProof}".encode()
        signature = digest(hashlib.sha256(key).digest(), message)
        proof = proof or coded(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
        reply = pair.say(coded(f"{withoutProof},p={proof}".encode()) + b"\r\n")
        if not reply.startswith(b"334 "):
            return reply
        expected = coded(digest(digest(salted, b"Server Key"), message)).decode()
        self.assertEqual(base64.b64decode(reply[4:]).decode(), f"v={expected}")
        return pair.say(b"\r\n")

    def test_scram(self):
        """
        SCRAM-SHA-256 (RFC 7677): both sides prove that they know the password.
        """
        users = self.users()
        for initial in (True, False):
            pair = Pair(authUsers=users)
            self.assertEqual(self.scram(pair, "alice", "secret", initial)[:9], b"235 2.7.0")
            self.assertEqual(self.used(pair), {"accepted": 1})
        for arguments in (("alice", "wrong"), ("carol", "secret"), ("alice", "secret", True, "eA==")):
            pair = Pair(authUsers=users)
            self.assertEqual(self.scram(pair, *arguments)[:9], b"535 5.7.8", arguments)
            self.assertEqual(self.used(pair), {"refused": 1})
            self.assertEqual(pair.codes(b"NOOP\r\n"), [250])


class SequenceTests(AuthTestCase):
    """
    When AUTH may come, and what ends it.
    """

    def test_sequence(self):
        """
        Not twice, not in a transaction.
        """
        pair = Pair()
        self.assertEqual(pair.codes(b"MAIL FROM:<>\r\nAUTH PLAIN AGEAYg==\r\nRSET\r\n"), [250, 503, 250])
        self.assertEqual(pair.codes(b"AUTH PLAIN AGEAYg==\r\nAUTH PLAIN AGEAYg==\r\n"), [235, 503])
        self.assertEqual(pair.codes(b"EHLO x\r\n")[0], 250)
        self.assertEqual(pair.codes(b"AUTH LOGIN\r\nMAIL FROM:<>\r\n"), [503, 250])
        # XCLIENT is a new client.
        self.assertEqual(
            pair.codes(b"RSET\r\nXCLIENT NAME=x\r\nHELO x\r\nAUTH PLAIN AGEAYg==\r\n"), [250, 220, 250, 235]
        )
        self.assertEqual(self.used(pair), {"accepted": 2})

    def test_again(self):
        """
        After a refusal it may be tried again.
        """
        pair = Pair(authUsers=self.users())
        self.assertEqual(
            pair.codes(b"AUTH PLAIN AGEAYg==\r\nAUTH PLAIN " + coded(b"\0alice\0secret") + b"\r\n"), [535, 235]
        )
        self.assertEqual(self.used(pair), {"refused": 1, "accepted": 1})

    def test_cancelled(self):
        """
        An asterisk cancels (RFC 4954 section 4), and commands are commands again.
        """
        pair = Pair()
        self.assertEqual(pair.codes(b"AUTH LOGIN\r\n*\r\nNOOP\r\n"), [334, 501, 250])
        self.assertEqual(pair.codes(b"AUTH LOGIN\r\neA==\r\n*\r\nNOOP\r\n"), [334, 334, 501, 250])
        self.assertEqual(self.used(pair), {})
        self.assertEqual(pair.counts.errors, {})

    def test_syntax(self):
        """
        What isn't base64, has no mechanism, an unknown one, or too much.
        """
        pair = Pair()
        self.assertEqual(pair.codes(b"AUTH PLAIN ?\r\nAUTH PLAIN\r\nAGE\r\nNOOP\r\n"), [501, 334, 501, 250])
        self.assertEqual(pair.codes(b"AUTH\r\nAUTH PLAIN a b\r\nAUTH GSSAPI\r\n"), [501, 501, 504])

    def test_stopping(self):
        """
        A client in an exchange is told 421 when the sink stops.
        """
        pair = Pair()
        pair.say(b"AUTH LOGIN\r\n")
        pair.transport.clear()
        pair.factory.endSoon()
        self.assertEqual(pair.transport.value()[:3], b"421")

    @settings(deadline=None, max_examples=300)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=30),
                st.binary(max_size=30).map(coded),
                st.text("nycp=,rsi,a0+/=", max_size=30).map(lambda text: coded(text.encode())),
                st.just(coded(b"n,,n=alice,r=abc")),
                st.sampled_from([b"", b"=", b"*", b"AUTH", b"AUTH PLAIN", b"AUTH LOGIN", b"AUTH CRAM-MD5"]),
                st.just(b"AUTH SCRAM-SHA-256"),
                st.just(b"AUTH XOAUTH2"),
            ),
            max_size=8,
        )
    )
    def test_fuzz(self, lines):
        """
        Whatever comes has a reply, and a session that can go on.
        """
        pair = Pair()
        pair.factory.authenticator = Authenticator("smtp-sink", {"alice": "secret"})
        for line in lines:
            self.assertRegex(pair.say(line.replace(b"\r\n", b"") + b"\r\n"), rb"^[2-5][0-9][0-9][ -]|^$")


class SecretTests(AuthTestCase):
    """
    Passwords are nowhere.
    """

    SECRET = b"TopSecret42"

    def shown(self, stream, **plan):
        """
        @return: all that people can see when a client says this.
        """
        events = []
        globalLogPublisher.addObserver(events.append)
        try:
            for cut in (len(stream), 7):
                pair = Pair(verbose=True, **plan)
                for start in range(0, len(stream), cut):
                    pair.protocol.dataReceived(stream[start : start + cut])
        finally:
            globalLogPublisher.removeObserver(events.append)
        return repr(events) + repr(pair.counts.errors) + repr(pair.counts.extensions({}))

    def test_hidden(self):
        """
        Neither in a sample nor in a log, whatever becomes of the command that it belongs to.
        """
        secrets = [self.SECRET, coded(self.SECRET), coded(b"\0alice\0" + self.SECRET)]
        for plan in ({}, {"auth": False}, {"authUsers": self.users()}):
            for secret in secrets:
                for stream in (
                    b"AUTH PLAIN " + secret + b"\r\n",
                    b"auth plain " + secret + b"\r\n" * 2,
                    b" AUTH PLAIN " + secret + b"\r\n",
                    b"AUTH " + secret + b"\r\n",
                    b"AUTHX " + secret + b"\r\n",
                    b"AUTH PLAIN x " + secret + b"\r\n",
                    b"AUTH PLAIN\r\n" + secret + b"\r\n" + secret + b"\r\n",
                    b"AUTH LOGIN\r\neA==\r\n" + secret + b"\r\n",
                    b"AUTH FOO\r\n" + secret + b"\r\n",
                    b"AUTH CRAM-MD5\r\n" + secret + b"\r\n",
                    b"MAIL FROM:<>\r\nAUTH LOGIN\r\n" + secret + b"\r\n",
                    b"XCLIENT NAME=x\r\nAUTH LOGIN\r\n" + secret + b"\r\n",
                    b"AUTH PLAIN AGEAYg==\r\nAUTH PLAIN " + secret + b"\r\n",
                    b"AUTH PLAIN\r\n" + secret + b"x" * 20000 + b"\r\n",
                    b"AUTH LOGIN " + b"x" * 20000 + secret + b"\r\n",
                ):
                    shown = self.shown(stream, **plan)
                    for each in secrets:
                        self.assertNotIn(each.decode("latin-1"), shown, stream[:60])

    def test_shown(self):
        """
        The command and its mechanism aren't hidden, nor is anything else.
        """
        shown = self.shown(b"AUTH PLAIN AGEAYg==\r\nNOOP 1\r\n")
        self.assertIn("AUTH PLAIN (hidden)", shown)
        self.assertIn("NOOP 1", shown)

    def test_stopping(self):
        """
        Nor when the sink ends within an exchange.
        """
        events = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        pair = Pair(verbose=True)
        pair.say(b"AUTH LOGIN\r\neA==\r\n")
        pair.factory.limitReached()
        self.assertEqual(pair.codes(self.SECRET + b"\r\n"), [421])
        self.assertNotIn("TopSecret", repr(events))


class UsersTests(AuthTestCase):
    """
    The file of users.
    """

    def test_load(self):
        """
        Lines of user and password; what isn't one is told by its number, never by its text.
        """
        self.assertEqual(loadUsers(self.users()), {"alice": "secret", "b\u00f6b": "p:a ss"})
        for text, number in {"a:b\nsecret\n": 2, ":x": 1, "a:": 1}.items():
            error = self.assertRaises(ValueError, loadUsers, self.users(text))
            self.assertEqual(str(error), f"expected user:password in line {number}")
        path = self.mktemp()
        self.assertRaisesRegex(ValueError, "^expected a readable file: No such file", loadUsers, path)
        with open(path, "wb") as file:
            file.write(b"\xff:x\n")
        self.assertRaisesRegex(ValueError, "^expected UTF-8 in line 1", loadUsers, path)

    def test_sameAsClient(self):
        """
        The file means here what it means to the client: a byte order mark is none of the first user's, no character of
        a password but LF ends a line, and blanks may come before a number sign.
        """
        path = self.users("\ufeffjoe:a\fb\r\n  # me:you\nann:c\u2028d\v\x1c\n")
        self.assertEqual(loadUsers(path), {"joe": "a\fb", "ann": "c\u2028d\v\x1c"})
        self.assertEqual(loadUsers(path), {each.user: each.password for each in readUsers(path)})

    def test_plan(self):
        """
        A sink can't be made from one that isn't there.
        """
        self.assertRaises(ValueError, Pair, authUsers=self.mktemp())
        self.assertEqual(SinkPlan(authUsers="x").authUsers, os.path.abspath("x"))
