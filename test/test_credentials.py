"""
Tests for L{smtpsource.credentials}.
"""

from __future__ import annotations

import traceback

from hypothesis import strategies as st
from properties import given
from twisted.trial.unittest import SynchronousTestCase

from smtpsource import credentials
from smtpsource.credentials import Credentials, Logins, parseUsers, readPassword, readUsers, writtenUsers


def errorOf(test, function, *arguments):
    """
    The text of the C{ValueError} that a call raises, which says what was expected.
    """
    e = test.assertRaises(ValueError, function, *arguments)
    test.assertTrue(str(e).startswith("expected "), str(e))
    return str(e)


class UsersTests(SynchronousTestCase):
    """
    L{parseUsers} and L{readUsers}.
    """

    def test_users(self):
        """
        Colons, blanks and number signs of a password are its own; lines end as they like.
        """
        self.assertEqual(
            parseUsers(b"\xef\xbb\xbf# who\n\nalice:secret\r\n  \n  # more\nbob:a:b:#c \n\xc3\xa9ve:\xc3\xa9"),
            [Credentials("alice", "secret"), Credentials("bob", "a:b:#c "), Credentials("\u00e9ve", "\u00e9")],
        )

    def test_errors(self):
        """
        The text has the line's number and not the password; nor has a traceback.
        """
        for text, words in {
            b"": "at least one line with user:password",
            b"# nobody\n\n": "at least one line with user:password",
            b"alice:x\nsecret\n": "user:password in line 2",
            b"\n:secret": "user:password in line 2",
            b"secret:": "user:password in line 1",
            b"#\n#\nalice:secret\xff\n": "UTF-8 in line 3",
        }.items():
            e = self.assertRaises(ValueError, parseUsers, text)
            self.assertEqual(str(e), f"expected {words}")
            self.assertNotIn("secret", "".join(traceback.format_exception_only(e)) + repr(e.__cause__))
            self.assertTrue(e.__context__ is None or e.__suppress_context__)

    @given(st.binary())
    def test_anything(self, text):
        """
        Anything is a list of users or a C{ValueError}.
        """
        try:
            users = parseUsers(text)
        except ValueError as e:
            self.assertTrue(str(e).startswith("expected "))
        else:
            self.assertTrue(users and all(each.user and each.password for each in users))

    @given(st.lists(st.builds(Credentials, st.text(), st.text()), max_size=4))
    def test_written(self, users):
        """
        What was written is read as it was, whoever it is; what can't be is a C{ValueError} without a password.
        """
        try:
            text = writtenUsers(users)
        except ValueError as e:
            self.assertEqual(str(e), "expected users and passwords that a file of users can have")
            self.assertTrue(e.__context__ is None or e.__suppress_context__)
        else:
            self.assertEqual(parseUsers(text), users)

    def test_unwritable(self):
        """
        Most can be written; not a user with a colon, nor one who would be a comment.
        """
        self.assertEqual(writtenUsers([Credentials("a b", " :#"), Credentials("\u00e9", "x\r")][:1]), b"a b: :#\n")
        for user, password in (
            ("a:b", "x"),
            ("#a", "x"),
            ("a", "x\ny:z"),
            ("a", "x\r"),
            ("\ufeffa", "x"),
            ("a", "\ud800"),
        ):
            self.assertRaises(ValueError, writtenUsers, [Credentials(user, password)])

    def test_file(self):
        """
        From a file.
        """
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"alice:secret\n")
        self.assertEqual(readUsers(path), [Credentials("alice", "secret")])
        self.assertIn("readable file: No such file", errorOf(self, readUsers, path + "x"))
        self.assertIn("readable file: Is a directory", errorOf(self, readUsers, "."))


class PasswordTests(SynchronousTestCase):
    """
    L{readPassword}.
    """

    def read(self, content):
        """
        The password in a file with this content.
        """
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(content)
        return readPassword(path)

    def test_firstLine(self):
        """
        Only the line end is none of its own.
        """
        for content, password in {
            b"secret": "secret",
            b"secret\n": "secret",
            b"secret\r\nnot this\n": "secret",
            b" a:b \n": " a:b ",
            b"\xef\xbb\xbf\xc3\xa9\n": "\u00e9",
        }.items():
            self.assertEqual(self.read(content), password)

    def test_errors(self):
        """
        An empty line is no password.
        """
        for content in (b"", b"\n", b"\r\n", b"\nsecret\n"):
            self.assertIn("first line", errorOf(self, self.read, content))
        self.assertEqual(errorOf(self, self.read, b"secret\xff"), "expected a password in UTF-8")
        self.assertIn("readable file", errorOf(self, readPassword, "/nonexistent"))

    def test_variable(self):
        """
        The environment variable is part of the interface.
        """
        self.assertEqual(credentials.PASSWORD_VARIABLE, "SMTPSOURCE_PASSWORD")


class LoginsTests(SynchronousTestCase):
    """
    L{Logins}.
    """

    def test_inTurn(self):
        """
        Everybody in turn, again and again.
        """
        users = [Credentials(name, "x") for name in "abc"]
        logins = Logins(iter(users))
        self.assertEqual([logins.next() for _ in range(7)], [*users, *users, users[0]])

    def test_none(self):
        """
        Somebody must be there.
        """
        self.assertIn("at least one user", errorOf(self, Logins, []))
