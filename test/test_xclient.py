"""
Tests for L{smtpsource.smtp.xclient}.
"""

from __future__ import annotations

import re

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.smtp.xclient import NAMES, checked, command, missing, parse, xtext


def plain(octets):
    """
    What a server reads: the reverse of xtext, as RFC 1891 section 5 has it.
    """
    return re.sub(rb"\+([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), octets)


class ParseTests(SynchronousTestCase):
    """
    L{parse}.
    """

    def test_table(self):
        """
        Everything that means something.
        """
        for text, expected in {
            "NAME=spike.example ADDR=192.0.2.1": (("NAME", "spike.example"), ("ADDR", "192.0.2.1")),
            "addr=192.0.2.1, Name=spike.example": (("ADDR", "192.0.2.1"), ("NAME", "spike.example")),
            "ADDR=2001:db8::1": (("ADDR", "IPV6:2001:db8::1"),),
            "ADDR=ipv6:2001:DB8::1": (("ADDR", "IPV6:2001:DB8::1"),),
            "DESTADDR=::1,DESTPORT=25": (("DESTADDR", "IPV6:::1"), ("DESTPORT", "25")),
            "PORT=1": (("PORT", "1"),),
            "PORT=065535": None,
            "PORT=00025": (("PORT", "25"),),
            "PORT=65535": (("PORT", "65535"),),
            "PROTO=esmtp": (("PROTO", "ESMTP"),),
            "PROTO=SMTP": (("PROTO", "SMTP"),),
            "HELO=a=b+c": (("HELO", "a=b+c"),),
            "HELO=[192.0.2.1]": (("HELO", "[192.0.2.1]"),),
            "LOGIN=\u00e9": (("LOGIN", "\u00e9"),),
            "NAME=[tempunavail]": (("NAME", "[TEMPUNAVAIL]"),),
            **{
                f"{name}=[unavailable]": ((name, "[UNAVAILABLE]"),)
                for name in ("NAME", "ADDR", "PORT", "HELO", "LOGIN", "DESTADDR", "DESTPORT")
            },
        }.items():
            if expected is None:
                self.assertRaises(ValueError, parse, text)
            else:
                self.assertEqual(parse(text), expected, text)

    def test_errors(self):
        """
        Everything else says what would be right.
        """
        for text, words in {
            "": "attributes such as",
            " , ": "attributes such as",
            "NAME": "attributes such as",
            "=x": "attributes such as",
            "REVERSE_NAME=x": ", ".join(NAMES),
            "NAME=a.example name=b.example": "NAME only once",
            "NAME=": "host name",
            "NAME=a..b": "for NAME",
            "NAME=[192.0.2.1]": "not an address",
            "ADDR=": "ADDR to be",
            "ADDR=localhost": "ADDR to be",
            "ADDR=[192.0.2.1]": "without brackets",
            "ADDR=IPV6:192.0.2.1": "ADDR to be",
            "ADDR=fe80::1%lo": "ADDR to be",
            "ADDR=[TEMPUNAVAIL]": "[UNAVAILABLE]",
            "DESTADDR=x": "DESTADDR to be",
            "PORT=": "PORT to be a port",
            "PORT=0": "PORT to be a port",
            "PORT=65536": "PORT to be a port",
            "PORT=-1": "PORT to be a port",
            "PORT=\u0662": "PORT to be a port",
            "PORT=" + "9" * 5000: "PORT to be a port",
            "DESTPORT=smtp": "DESTPORT to be a port",
            "PROTO=LMTP": "SMTP or ESMTP",
            "PROTO=[UNAVAILABLE]": "SMTP or ESMTP",
            "HELO=": "HELO to have a value",
            "LOGIN=": "LOGIN to have a value",
            "HELO=" + "x" * 256: "at most 255",
            "LOGIN=\ud800": "UTF-8",
            "LOGIN=" + "x" * 500: "512 bytes",
            "HELO=" + "+" * 255: "512 bytes",
        }.items():
            e = self.assertRaises(ValueError, parse, text)
            self.assertTrue(str(e).startswith("expected "), text)
            self.assertIn(words, str(e), text)

    def test_pairs(self):
        """
        Of pairs each value is one, whatever is in it: blanks and commas are encoded and do not begin another attribute.
        """
        for pairs, expected in (
            ([("LOGIN", "a,ADDR=1.2.3.4")], b"XCLIENT LOGIN=a,ADDR+3D1.2.3.4\r\n"),
            ([("helo", "x y"), ("Addr", "::1")], b"XCLIENT HELO=x+20y ADDR=IPV6:::1\r\n"),
            ([("HELO", "a\r\nQUIT")], b"XCLIENT HELO=a+0D+0AQUIT\r\n"),
        ):
            self.assertEqual(command(checked(pairs)), expected)
            self.assertEqual(checked(checked(pairs)), checked(pairs))
        for pairs, words in (
            ([], "attributes such as"),
            ([("NAME", "a b")], "for NAME"),
            ([("X", "a")], "attributes such as"),
            ([("LOGIN", "a"), ("login", "b")], "LOGIN only once"),
            ([("PORT", 25)], "texts"),
            ([(b"NAME", "a")], "texts"),
        ):
            self.assertIn(words, str(self.assertRaises(ValueError, checked, pairs)))

    @given(st.lists(st.tuples(st.sampled_from([*NAMES, "X"]), st.text()), max_size=4))
    def test_anything(self, pairs):
        """
        Anything is a command of one line or a C{ValueError}.
        """
        try:
            attributes = parse(" ".join(f"{name}={value}" for name, value in pairs))
        except ValueError as e:
            self.assertTrue(str(e).startswith("expected "))
            return
        line = command(attributes)
        self.assertRegex(line, rb"^XCLIENT( [A-Z]+=[!-~]+)+\r\n$")
        self.assertLessEqual(len(line), 512)
        words = [word.partition(b"=") for word in line.split()[1:]]
        self.assertEqual(
            tuple((name.decode(), plain(value).decode("utf-8")) for name, _, value in words),
            attributes,
        )


class CommandTests(SynchronousTestCase):
    """
    L{command}, L{xtext} and L{missing}.
    """

    def test_command(self):
        """
        The README's example, and one with everything.
        """
        self.assertEqual(
            command(parse("NAME=spike.porcupine.org ADDR=168.100.189.2")),
            b"XCLIENT NAME=spike.porcupine.org ADDR=168.100.189.2\r\n",
        )
        self.assertEqual(
            command(parse("addr=2001:db8::1 port=1024 proto=esmtp helo=a+b login=u=v destaddr=[unavailable]")),
            b"XCLIENT ADDR=IPV6:2001:db8::1 PORT=1024 PROTO=ESMTP HELO=a+2Bb LOGIN=u+3Dv DESTADDR=[UNAVAILABLE]\r\n",
        )

    def test_xtext(self):
        """
        RFC 1891 section 5.
        """
        self.assertEqual(xtext("a+b=c"), b"a+2Bb+3Dc")
        self.assertEqual(xtext(" \t\r\n\0\x7f"), b"+20+09+0D+0A+00+7F")
        self.assertEqual(xtext("\u00e9\udcff~!"), b"+C3+A9+FF~!")

    @given(st.text())
    def test_roundTrip(self, text):
        """
        Nothing is lost, and nothing that is not printable is left.
        """
        encoded = xtext(text)
        self.assertEqual(plain(encoded).decode("utf-8"), text)
        self.assertRegex(encoded, rb"\A[!-<>-~]*\Z")

    def test_missing(self):
        """
        What a server does not take.
        """
        attributes = parse("NAME=spike.example ADDR=192.0.2.1 PORT=1024")
        self.assertEqual(missing(attributes, "NAME ADDR PROTO HELO PORT"), [])
        self.assertEqual(missing(attributes, "name addr proto helo"), ["PORT"])
        self.assertEqual(missing(attributes, ""), ["NAME", "ADDR", "PORT"])
        self.assertEqual(missing(attributes, "REVERSE_NAME DESTADDR"), ["NAME", "ADDR", "PORT"])
