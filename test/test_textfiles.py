"""
Tests for L{smtpsource.values.textfiles}, and that every file of text that a user gives may begin with a byte order
mark, or is refused with the name of what it is in.
"""

from __future__ import annotations

import json
import os

from commandlines import parsed, sinkParsed
from hypothesis import strategies as st
from properties import given
from results import example
from textfiles import writeFile
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.report.document import documentOf
from smtpsource.report.reading import ReportError, read
from smtpsource.values import textfiles

try:
    from certificates import makeCertificates
except ImportError:
    makeCertificates = None

MARK = b"\xef\xbb\xbf"

#: Encodings that no file is in, with their marks, and what they are called.
OTHERS = {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32-le": "UTF-32", "utf-32-be": "UTF-32"}

#: For each option that names a file of text: what may be in it, and what else is needed.
FILES = {
    "--scenario": ("destination = 'sink:'\n", []),
    "--senders": ("a@x 3\nb@x\n", []),
    "--recipients": ("a@x 3\nb@x\n", []),
    "--auth-password-file": ("secret\n", ["--auth", "PLAIN", "--auth-user", "me"]),
    "--auth-users": ("me:secret\n", ["--auth", "PLAIN"]),
    "--size-distribution=empirical:": ("100 9\n1k\n", []),
    "--recipients-distribution=empirical:": ("1 9\n2\n", []),
}


class MarkTests(SynchronousTestCase):
    """
    Texts.
    """

    @given(st.text(), st.sampled_from(sorted(OTHERS)))
    def test_others(self, text, encoding):
        """
        Of a text in UTF-8 all is there but its mark; one with the mark of another encoding is refused by its name.
        """
        if "\0" not in text[:2] and not text.startswith("\ufeff"):
            self.assertEqual(textfiles.withoutMark(text.encode("utf-8-sig")), text.encode("utf-8"))
            self.assertEqual(textfiles.withoutMark(text.encode("utf-8")), text.encode("utf-8"))
        error = str(self.assertRaises(ValueError, textfiles.withoutMark, f"\ufeff{text}".encode(encoding)))
        # Four bytes of UTF-32 may be two characters of UTF-16, the second of which is NUL.
        name = "UTF-32" if encoding == "utf-16-le" and text.startswith("\0") else OTHERS[encoding]
        self.assertEqual(error, f"expected UTF-8, not {name}, as its byte order mark says")

    def test_unmarked(self):
        """
        So is one that has none, but looks like that.
        """
        for encoding in ("utf-16-le", "utf-16-be"):
            error = str(self.assertRaises(ValueError, textfiles.withoutMark, "ab".encode(encoding)))
            self.assertEqual(error, "expected UTF-8, not UTF-16, which its NUL bytes look like")
        self.assertEqual(textfiles.withoutMark(b""), b"")


class FileTests(SynchronousTestCase):
    """
    Files.
    """

    def options(self, option, content, more):
        """
        @return: options with a file of this content.
        """
        path = os.path.abspath(writeFile(self, content))
        words = [f"{option}{path}"] if "=" in option else [option, path]
        return parsed(*words, *more, "sink:")

    def test_options(self):
        """
        Each option that names one.
        """
        for option, (text, more) in FILES.items():
            plain = self.options(option, text.encode(), more)
            marked = self.options(option, MARK + text.encode(), more)
            for name in (
                "senders",
                "recipients",
                "logins",
                "sizeDistribution",
                "recipientsDistribution",
                "destination",
            ):
                self.assertEqual(getattr(marked.plan, name), getattr(plain.plan, name), option)
            for encoding, name in OTHERS.items():
                content = f"\ufeff{text}".encode(encoding)
                error = str(self.assertRaises(usage.UsageError, self.options, option, content, more))
                self.assertTrue(error.startswith(option.partition("=")[0]), error)
                self.assertIn(f"expected UTF-8, not {name}, as its byte order mark says", error)
                self.assertNotIn("\n", error)

    def test_weights(self):
        """
        The weights of messages; and files that were put together of several.
        """
        path = self.mktemp()
        os.makedirs(path)
        for name, content in (("a.eml", b"A: b\n"), ("weights", MARK + b"a.eml 3\n" + MARK)):
            with open(os.path.join(path, name), "wb") as file:
                file.write(content)
        options = parsed("--messages", path, "--pick", "weighted", "sink:")
        self.assertEqual(options.plan.messages.weights().weights, (3.0,))
        addresses = self.options("--recipients", MARK + b"a@x\n" + MARK + b"b@x\n", []).plan.recipients
        self.assertEqual(addresses.values, (b"a@x", b"b@x"))

    def test_messageFile(self):
        """
        C{-F} sends its file as it is.
        """
        for content in (MARK + b"A: b\n", "\ufeffA: b\n".encode("utf-16-le")):
            self.assertEqual(self.options("-F", content, []).plan.message, content)

    def test_sink(self):
        """
        The sink's file of users.
        """
        path = writeFile(self, MARK + b"me:secret\n")
        self.assertEqual(sinkParsed("--auth-users", path, ":1").plan.authUsers, os.path.abspath(path))
        path = writeFile(self, "\ufeffme:secret\n".encode("utf-16"))
        error = str(self.assertRaises(usage.UsageError, sinkParsed, "--auth-users", path, ":1"))
        self.assertIn("expected UTF-8, not UTF-16", error)

    def test_reports(self):
        """
        Reports, as they are given to C{smtpsource merge} and C{compare}.
        """
        text = json.dumps(documentOf(example()))
        plain = read(writeFile(self, text.encode()))
        self.assertEqual(read(writeFile(self, MARK + text.encode())), plain)
        path = writeFile(self, f"\ufeff{text}".encode("utf-16"))
        error = str(self.assertRaises(ReportError, read, path))
        self.assertIn("expected UTF-8, not UTF-16, as its byte order mark says", error)

    def test_certificates(self):
        """
        OpenSSL would overlook a certificate or key right after a mark: it is named.
        """
        made = makeCertificates(self.mktemp())
        for option, content, more in (
            ("--tls-ca", made.authority, ["--tls", "starttls", "--tls-verify", "--tls-server-name", "x"]),
            ("--tls-cert", made.certificate, ["--tls", "starttls", "--tls-key", str(made.key)]),
            ("--tls-key", made.key, ["--tls", "starttls", "--tls-cert", str(made.certificate)]),
        ):
            text = content.read_bytes()
            for wrong, expected in (
                (MARK + text, "expected PEM without the byte order mark that it begins with"),
                (f"\ufeff{text.decode()}".encode("utf-16"), "expected UTF-8, not UTF-16, as its byte order mark says"),
            ):
                error = str(self.assertRaises(usage.UsageError, self.options, option, wrong, more))
                self.assertRegex(error, f"^{option}: '/.*' is not usable: {expected}$")
        for option, content, more in (
            ("--tls-cert", made.certificate, ["--tls-key", str(made.key)]),
            ("--tls-key", made.key, ["--tls-cert", str(made.certificate)]),
        ):
            path = writeFile(self, MARK + content.read_bytes())
            error = str(self.assertRaises(usage.UsageError, sinkParsed, "--tls", option, path, *more, ":1"))
            self.assertRegex(error, f"^{option}: '/.*' is not usable: expected PEM without the byte order mark")

    if makeCertificates is None:
        test_certificates.skip = "there is no cryptography"
