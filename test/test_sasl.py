"""
Tests for L{smtpsource.smtp.sasl}, L{smtpsource.smtp.scram} and L{smtpsource.values.saslprep}.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from dataclasses import FrozenInstanceError

from hypothesis import strategies as st
from properties import given, settings
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.smtp.sasl import MECHANISMS, Credentials, Login, authCommand, decoded, exchange, responseLine
from smtpsource.smtp.scramkeys import Derivation
from smtpsource.values.saslprep import saslprep

try:
    import scramp
except ImportError:
    scramp = None

SCRAM = "SCRAM-SHA-256"

# RFC 7677 section 3
PENCIL = Credentials("user", "pencil")
NONCE = b"rOprNGfwEbeRWgbNEkqO"
CLIENT_FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def errorOf(test, function, *arguments, **keywords):
    """
    The text of the C{ValueError} that a call raises, which says what was expected.
    """
    e = test.assertRaises(ValueError, function, *arguments, **keywords)
    test.assertTrue(str(e).startswith("expected "), str(e))
    return str(e)


def answer(talk, challenge):
    """
    @return: the response of an exchange, its keys worked out if it wants some.
    """
    response = talk.respond(challenge)
    return talk.derived(response.keys()) if isinstance(response, Derivation) else response


class CredentialsTests(SynchronousTestCase):
    """
    L{Credentials}.
    """

    def test_hidden(self):
        """
        A password is not in what a log or a traceback may show.
        """
        credentials = Credentials("user", "pencil")
        self.assertEqual(repr(credentials), "Credentials(user='user')")
        self.assertNotIn("pencil", str(credentials))

    def test_frozen(self):
        """
        Credentials do not change, and can be compared.
        """
        with self.assertRaises(FrozenInstanceError):
            PENCIL.user = "other"
        self.assertEqual(PENCIL, Credentials("user", "pencil"))
        self.assertNotEqual(PENCIL, Credentials("user", "pen"))


class SimpleMechanismsTests(SynchronousTestCase):
    """
    Mechanisms in which only the client has something to show.
    """

    def test_mechanisms(self):
        """
        These there are, in this order of preference.
        """
        self.assertEqual(MECHANISMS, ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2"))
        for mechanism in MECHANISMS:
            # Complete is what needs nothing but the initial response.
            self.assertEqual(exchange(mechanism.lower(), PENCIL).complete, mechanism in ("PLAIN", "XOAUTH2"))
        self.assertIn(", ".join(MECHANISMS), errorOf(self, exchange, "NTLM", PENCIL))

    def test_plain(self):
        """
        The examples of RFC 4616 section 4: the first, and the second without its authorization identity.
        """
        self.assertEqual(exchange("PLAIN", Credentials("tim", "tanstaaftanstaaf")).initial, b"\0tim\0tanstaaftanstaaf")
        talk = exchange("PLAIN", Credentials("Kurt", "xipj3plmq"))
        self.assertEqual(talk.initial, b"\0Kurt\0xipj3plmq")
        errorOf(self, talk.respond, b"What else?")

    def test_prepared(self):
        """
        PLAIN and SCRAM prepare both texts; the others leave them alone.
        """
        credentials = Credentials("u\u00ads\u2168", "p\u00a0w")
        self.assertEqual(exchange("PLAIN", credentials).initial, b"\0usIX\0p w")
        self.assertTrue(exchange(SCRAM, credentials, nonce=b"x").initial.startswith(b"n,,n=usIX,"))
        self.assertEqual(exchange("LOGIN", credentials).respond(b""), credentials.user.encode())

    def test_login(self):
        """
        First the user, then the password, whatever the questions are.
        """
        for questions in ((b"Username:", b"Password:"), (b"User Name\0", b"Password\0"), (b"", b"")):
            talk = exchange("LOGIN", PENCIL)
            self.assertIdentical(talk.initial, None)
            self.assertEqual([talk.respond(question) for question in questions], [b"user", b"pencil"])
            errorOf(self, talk.respond, b"Password:")

    def test_cramMD5(self):
        """
        The example of RFC 2195 section 2.
        """
        talk = exchange("CRAM-MD5", Credentials("tim", "tanstaaftanstaaf"))
        self.assertIdentical(talk.initial, None)
        challenge = decoded(b"334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\r\n")
        self.assertEqual(challenge, b"<1896.697170952@postoffice.reston.mci.net>")
        line = responseLine(talk.respond(challenge))
        self.assertEqual(line, b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\r\n")
        self.assertEqual(b64decode(line), b"tim b913a602c7eda7a495b4e6e7334d3890")
        errorOf(self, talk.respond, challenge)
        errorOf(self, exchange("CRAM-MD5", PENCIL).respond, b"")

    def test_xoauth2(self):
        """
        The example of Google's documentation, and a refusal.
        """
        token = "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg"
        talk = exchange("XOAUTH2", Credentials("someuser@example.com", token))
        self.assertEqual(
            b64encode(talk.initial),
            b"dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==",
        )
        self.assertEqual(talk.respond(b'{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}'), b"")
        errorOf(self, talk.respond, b"{}")
        for credentials in (Credentials("a\1b", "t"), Credentials("a", "t\1")):
            errorOf(self, exchange, "XOAUTH2", credentials)

    def test_unheeded(self):
        """
        Where responses don't depend on challenges, these may be anything.
        """
        for said in (b"334\r\n", b"334 \r\n", b"334 ok, go on\r\n", b"334-well\r\n334 go on\r\n", b"334 \xff\0\r\n"):
            login = Login("LOGIN", PENCIL)
            self.assertEqual([login.respond(said) for _ in range(2)], [b"dXNlcg==\r\n", b"cGVuY2ls\r\n"])
            self.assertTrue(login.complete)
            self.assertIn("no further challenge", errorOf(self, login.respond, said))
        for refusal in (b"334 eyJzdGF0dXMiOiI0MDEifQ==\r\n", b"334 {not base64}\r\n", b"334-{\r\n334 }\r\n"):
            login = Login("XOAUTH2", PENCIL)
            self.assertEqual(login.respond(refusal), b"\r\n")
            errorOf(self, login.respond, refusal)

    def test_heeded(self):
        """
        Elsewhere a challenge has to be one line of base64, blanks around it or not.
        """
        expected = Login("CRAM-MD5", PENCIL).respond(b"334 PDFAeD4=\r\n")
        for said in (b"334 PDFAeD4= \r\n", b"334  PDFAeD4=\t \n", b"334\tPDFAeD4=\r\n"):
            self.assertEqual(Login("CRAM-MD5", PENCIL).respond(said), expected)
        for said, words in (
            (b"334 <1@x>\r\n", "base64 from the server, not <1@x>"),
            (b"334 PDFA eD4=\r\n", "base64"),
            (b"334-PDFA\r\n334 eD4=\r\n", "a reply of one line"),
            (b"334 \r\n", "not empty"),
            (b"334\r\n", "not empty"),
        ):
            self.assertIn(words, errorOf(self, Login("CRAM-MD5", PENCIL).respond, said))

    def test_askedForInitial(self):
        """
        An initial response that was said already is said again if an empty challenge asks for it, once.
        """
        for mechanism in ("PLAIN", "XOAUTH2", SCRAM):
            login = Login(mechanism, PENCIL)
            initial = login.command.split()[2] + b"\r\n"
            self.assertEqual(login.respond(b"334 \r\n"), initial)
            if mechanism == "XOAUTH2":
                self.assertEqual(login.respond(b"334 e30=\r\n"), b"\r\n")
            else:
                errorOf(self, login.respond, b"334 \r\n")
        self.assertIn("no further challenge", errorOf(self, Login("PLAIN", PENCIL).respond, b"334 go on\r\n"))

    def test_withheldInitial(self):
        """
        One that was too long for the command is what the first challenge asks for, whatever that says.
        """
        long = Credentials("u" * 600, "p")
        for mechanism in ("PLAIN", "XOAUTH2", SCRAM):
            for said in (b"334\r\n", b"334 \r\n", b"334 go on\r\n", b"334 R28gb24=\r\n", b"334-go\r\n334 on\r\n"):
                login = Login(mechanism, long)
                self.assertEqual(login.command, b"AUTH " + mechanism.encode() + b"\r\n")
                self.assertFalse(login.complete)
                self.assertIn(b"u" * 600, b64decode(login.respond(said)))
                self.assertEqual(login.complete, mechanism != SCRAM)
                if mechanism != "XOAUTH2":
                    errorOf(self, login.respond, b"334 \r\n")

    def test_unusable(self):
        """
        What a mechanism can't transport is said at once, without the password.
        """
        for mechanism, credentials, words in (
            ("PLAIN", Credentials("", "secret"), "a user that is not empty"),
            ("PLAIN", Credentials("user", ""), "a password that is not empty"),
            ("PLAIN", Credentials("user", "\u00ad"), "a password that is not empty"),
            ("PLAIN", Credentials("us\0er", "secret"), "a user without"),
            ("PLAIN", Credentials("user", "sec\0ret"), "a password without"),
            ("PLAIN", Credentials("user", "secret\udc80"), "a password without"),
            ("LOGIN", Credentials("user", "secret\udc80"), "a password that can be written in UTF-8"),
            ("CRAM-MD5", Credentials("us\udc80", "secret"), "a user that can be written in UTF-8"),
            (SCRAM, Credentials("", "secret"), "a user that is not empty"),
            (SCRAM, Credentials("user", "\u0221secret"), "a password without characters that SASLprep does not know"),
            (SCRAM, Credentials("user", "secret\u06271"), "in one direction"),
        ):
            text = errorOf(self, exchange, mechanism, credentials)
            self.assertIn(words, text)
            self.assertNotIn("sec", text)


class SASLprepTests(SynchronousTestCase):
    """
    L{saslprep}.
    """

    def test_examples(self):
        """
        RFC 4013 section 3.
        """
        for text, prepared in {
            "I\u00adX": "IX",
            "user": "user",
            "USER": "USER",
            "\u00aa": "a",
            "\u2168": "IX",
            "": "",
        }.items():
            self.assertEqual(saslprep("user", text), prepared)
        self.assertIn("prohibits", errorOf(self, saslprep, "user", "\u0007"))
        self.assertIn("direction", errorOf(self, saslprep, "user", "\u06271"))
        self.assertEqual(saslprep("user", "\u0627\u0031\u0628"), "\u0627\u0031\u0628")

    def test_unassigned(self):
        """
        Code points that are newer than Unicode 3.2 may be in a query.
        """
        self.assertEqual(saslprep("user", "\u0221", unassigned=True), "\u0221")
        errorOf(self, saslprep, "user", "\u0221")

    @given(st.text())
    def test_likeScramp(self, text):
        """
        Another implementation comes to the same.
        """
        from scramp.utils import saslprep as other

        try:
            expected = other(text)
        except scramp.ScramException:
            errorOf(self, saslprep, "password", text)
        else:
            self.assertEqual(saslprep("password", text), expected)

    if scramp is None:
        test_likeScramp.skip = "scramp is not installed"


class SCRAMTests(SynchronousTestCase):
    """
    SCRAM-SHA-256.
    """

    def begun(self):
        """
        The exchange of RFC 7677, up to the server's first message.
        """
        return exchange(SCRAM, PENCIL, nonce=NONCE)

    def test_rfc7677(self):
        """
        The example of RFC 7677 section 3.
        """
        talk = self.begun()
        self.assertEqual(talk.initial, CLIENT_FIRST)
        self.assertEqual(answer(talk, SERVER_FIRST), CLIENT_FINAL)
        self.assertFalse(talk.complete)
        self.assertEqual(talk.respond(SERVER_FINAL), b"")
        self.assertTrue(talk.complete)
        self.assertIn("no further challenge", errorOf(self, talk.respond, b""))

    def test_extensions(self):
        """
        Extensions that need not be known change nothing but what is signed.
        """
        talk = self.begun()
        final = answer(talk, SERVER_FIRST + b",x=anything")
        self.assertEqual(final.partition(b",p=")[0], CLIENT_FINAL.partition(b",p=")[0])
        self.assertNotEqual(final, CLIENT_FINAL)
        talk = self.begun()
        answer(talk, SERVER_FIRST)
        talk.respond(SERVER_FINAL + b",x=anything")
        self.assertTrue(talk.complete)

    def test_userEscaped(self):
        """
        RFC 5802 section 5.1: "," and "=" have a meaning of their own.
        """
        talk = exchange(SCRAM, Credentials("a,b=c", "pencil"), nonce=NONCE)
        self.assertEqual(talk.initial, b"n,,n=a=2Cb=3Dc,r=" + NONCE)

    def test_nonces(self):
        """
        No two exchanges have the same nonce, and it has no comma.
        """
        nonces = {exchange(SCRAM, PENCIL).initial.partition(b",r=")[2] for _ in range(50)}
        self.assertEqual(len(nonces), 50)
        for nonce in nonces:
            self.assertGreaterEqual(len(nonce), 18)
            self.assertNotIn(b",", nonce)

    def test_badServerFirst(self):
        """
        What a server must not say first.
        """
        ours = NONCE.decode()
        for challenge, words in {
            "e=other-error": "it says: other-error",
            "m=x," + SERVER_FIRST.decode(): "no extension",
            "": "a nonce, a salt",
            f"r={ours}x,s=c2FsdA==": "a nonce, a salt",
            f"r={ours}x,i=4096": "a nonce, a salt",
            f"s=c2FsdA==,r={ours}x,i=4096": "a nonce, a salt",
            f"r={ours}x,s=c2FsdA==,i=4096,": "a nonce, a salt",
            f"r={ours}x,s=c2FsdA==,i=4096,m": "a nonce, a salt",
            f"r={ours}\x7f,s=c2FsdA==,i=4096": "a nonce, a salt",
            f"r={ours},s=c2FsdA==,i=4096": "a nonce from the server",
            f"r=x{ours},s=c2FsdA==,i=4096": "a nonce from the server",
            f"r={ours[:-1]},s=c2FsdA==,i=4096": "a nonce from the server",
            f"r={ours}x,s=,i=4096": "a salt of 1 to 1024",
            f"r={ours}x,s=c2FsdA=,i=4096": "base64 from the server, not c2FsdA=",
            f"r={ours}x,s====,i=4096": "base64",
            f"r={ours}x,s=c2Fs dA==,i=4096": "base64",
            f"r={ours}x,s=\x1b[2J,i=4096": "base64 from the server, not ?[2J",
            f"r={ours}x,s={b64encode(b'x' * 1025).decode()},i=4096": "a salt of 1 to 1024",
            **{
                f"r={ours}x,s=c2FsdA==,i={iterations}": f"for SCRAM, not i={iterations}"
                for iterations in ("", "0", "-1", "+1", "1e9", "4096.0", "0x1000", "4_096", " 4096", "04096", "many")
            },
            f"r={ours}x,s=c2FsdA==,i=\u0663": "for SCRAM, not i=\u0663",
            f"r={ours}x,s=c2FsdA==,i=1000001": "at most 1000000 iterations from the server, for SCRAM, not 1000001 (",
            f"r={ours}x,s=c2FsdA==,i=100000000": "not 100000000 (--auth-scram-iterations allows more)",
            f"r={ours}x,s=c2FsdA==,i={'9' * 10000}": "not a number of 10000 digits (--auth-scram-iterations",
        }.items():
            self.assertIn(words, errorOf(self, self.begun().respond, challenge.encode()), challenge)

    def test_bound(self):
        """
        How many iterations a server may ask for is up to the user.
        """
        for bound in (4096, 4095, 10_000, 2**31 - 1):
            talk = exchange(SCRAM, PENCIL, nonce=NONCE, mostIterations=bound)
            if bound < 4096:
                self.assertIn("at most 4095 iterations", errorOf(self, talk.respond, SERVER_FIRST))
            else:
                self.assertEqual(talk.respond(SERVER_FIRST).iterations, 4096)

    def test_derivationHidden(self):
        """
        What keys are made of does not show the password.
        """
        wanted = self.begun().respond(SERVER_FIRST)
        self.assertEqual(wanted.password, b"pencil")
        self.assertNotIn("pencil", f"{wanted} {wanted!r}")
        self.assertEqual(wanted, self.begun().respond(SERVER_FIRST))

    def test_badServerFinal(self):
        """
        A server that does not prove that it knows the password is not believed.
        """
        for challenge, words in {
            b"": "signature",
            b"v": "signature",
            b"v=": "another signature",
            b"v=AAAA": "another signature",
            b"v=%%%%": "base64",
            SERVER_FINAL.replace(b"6rri", b"7rri"): "another signature",
            b"e=invalid-proof": "it says: invalid-proof",
            b"e=\x1b[2J": "no reason that can be shown",
            b"x=1," + SERVER_FINAL: "signature",
        }.items():
            talk = self.begun()
            answer(talk, SERVER_FIRST)
            self.assertIn(words, errorOf(self, talk.respond, challenge))
            self.assertFalse(talk.complete)
            # Not even a good one mends that.
            errorOf(self, talk.respond, SERVER_FINAL)
            self.assertFalse(talk.complete)

    @settings(max_examples=20, deadline=None)
    @given(st.text(min_size=1), st.text(min_size=1), st.booleans())
    def test_againstScramp(self, user, password, known):
        """
        A server that somebody else has written lets those in who know the password, and no others.
        """
        try:
            expected = saslprep("user", user)  # this server takes no unassigned code points in users either
            talk = exchange(SCRAM, Credentials(user, password))
        except ValueError:
            return
        mechanism = scramp.ScramMechanism(SCRAM)
        stored = mechanism.make_auth_info(password if known else password + "x")
        seen = []
        server = mechanism.make_server(lambda name: seen.append(name) or stored)
        server.set_client_first(talk.initial.decode())
        final = answer(talk, server.get_server_first().encode()).decode()
        self.assertEqual(seen, [expected])
        if known:
            server.set_client_final(final)
            self.assertEqual(talk.respond(server.get_server_final().encode()), b"")
            self.assertTrue(talk.complete)
        else:
            self.assertRaises(scramp.ScramException, server.set_client_final, final)
            self.assertIn("invalid-proof", errorOf(self, talk.respond, server.get_server_final().encode()))

    if scramp is None:
        test_againstScramp.skip = "scramp is not installed"


class WireTests(SynchronousTestCase):
    """
    The lines of RFC 4954 section 4.
    """

    def test_authCommand(self):
        """
        With an initial response, an empty one, and none.
        """
        self.assertEqual(authCommand("PLAIN", b"\0test\0test1234"), b"AUTH PLAIN AHRlc3QAdGVzdDEyMzQ=\r\n")
        self.assertEqual(authCommand("external", b""), b"AUTH EXTERNAL =\r\n")
        self.assertEqual(authCommand("CRAM-MD5", None), b"AUTH CRAM-MD5\r\n")

    def test_longInitial(self):
        """
        A command is at most 512 octets long; what does not fit waits for the server's challenge.
        """
        longest = b"x" * 372
        self.assertEqual(len(authCommand("PLAIN", longest)), 509)
        self.assertEqual(authCommand("PLAIN", longest + b"x"), b"AUTH PLAIN\r\n")
        talk = exchange("XOAUTH2", Credentials("user", "t" * 2000))
        self.assertEqual(authCommand("XOAUTH2", talk.initial), b"AUTH XOAUTH2\r\n")

    def test_lines(self):
        """
        Challenges, and their responses.
        """
        for line, challenge in {
            b"334 VXNlcm5hbWU6\r\n": b"Username:",
            b"334 VXNlcm5hbWU6\n": b"Username:",
            b"334 VXNlcm5hbWU6": b"Username:",
            b"334 \r\n": b"",
            b"334\r\n": b"",
            b"334 VXNlcm5hbWU6 \r\n": b"Username:",
            b"334   \r\n": b"",
        }.items():
            self.assertEqual(decoded(line), challenge)
        self.assertEqual(responseLine(b"user"), b"dXNlcg==\r\n")
        self.assertEqual(responseLine(b""), b"\r\n")

    def test_badLines(self):
        """
        No base64 (RFC 4954 section 4 has the last two), or no challenge.
        """
        for line in (
            b"334 Username:\r\n",
            b"334 VXNlcm5hbWU\r\n",
            b"334 \xff\r\n",
            b"334 =AAA\r\n",
            b"334 AAA=BBB\r\n",
        ):
            self.assertIn("base64", errorOf(self, decoded, line))
        for line in (
            b"",
            b"235 VXNl\r\n",
            b"334-VXNl\r\n",
            b"334-VXNl\r\n334 VXNl\r\n",
            b"334VXNl\r\n",
            b"334 VX\nNl\r\n",
        ):
            self.assertIn("code 334", errorOf(self, decoded, line))

    @given(st.binary())
    def test_anyLine(self, line):
        """
        Any line is a challenge or a C{ValueError}.
        """
        for reply in (line, b"334 " + line):
            try:
                self.assertIsInstance(decoded(reply), bytes)
            except ValueError as e:
                self.assertTrue(str(e).startswith("expected "))

    @given(st.binary())
    def test_roundTrip(self, challenge):
        """
        What one end encodes, the other decodes.
        """
        self.assertEqual(decoded(b"334 " + responseLine(challenge)), challenge)


def challenges():
    """
    Anything that a server might say, often almost right.
    """
    salts = st.binary(max_size=30).map(b64encode)
    nonces = st.sampled_from([NONCE, NONCE[:-1]]).flatmap(lambda n: st.binary(max_size=8).map(lambda more: n + more))
    iterations = st.integers(-1, 20).map(lambda n: b"%d" % n)
    first = st.builds(lambda r, s, i: b"r=" + r + b",s=" + s + b",i=" + i, nonces, salts, iterations)
    final = st.binary(max_size=40).flatmap(lambda v: st.sampled_from([b"v=" + v, b"v=" + b64encode(v), b"e=" + v]))
    return st.one_of(st.binary(), first, final, st.just(SERVER_FIRST), st.just(SERVER_FINAL))


class AnyChallengeTests(SynchronousTestCase):
    """
    Servers that say anything.
    """

    @given(st.sampled_from(MECHANISMS), st.lists(challenges(), max_size=5))
    def test_bytesOrValueError(self, mechanism, said):
        """
        Any challenge is answered or is a C{ValueError}, and nobody is believed who has not signed, or asked for all.
        """
        talk = exchange(mechanism, PENCIL, nonce=NONCE)
        answers = 0
        for challenge in said:
            before = talk.complete
            try:
                self.assertIsInstance(answer(talk, challenge), bytes)
                answers += 1
            except ValueError as e:
                self.assertTrue(str(e).startswith("expected "), str(e))
                self.assertNotIn("pencil", str(e))
            if talk.complete and not before and mechanism == SCRAM:
                self.assertEqual(challenge.partition(b",")[0], SERVER_FINAL)
            if talk.complete:
                self.assertGreaterEqual(answers, {"LOGIN": 2, "CRAM-MD5": 1}.get(mechanism, 0))

    @given(st.binary(max_size=64).map(lambda octets: octets.replace(b"\0", b"\1") or b"x"))
    def test_cramMD5(self, challenge):
        """
        The response is the user and a keyed digest in lower case.
        """
        response = exchange("CRAM-MD5", PENCIL).respond(challenge)
        self.assertEqual(response, b"user " + hmac.new(b"pencil", challenge, "md5").hexdigest().encode())
