"""
Tests for L{smtpsource.messages.corpus}, L{smtpsource.messages.stored} and L{smtpsource.messages.parts}: messages that
are there already, found and made ready.
"""

from __future__ import annotations

import errno
import mailbox
import os
from collections import Counter
from itertools import count
from pathlib import Path

from hypothesis import strategies as st
from properties import given, settings
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.messages.corpus import Corpus, FileCorpus, MboxCorpus, index
from smtpsource.messages.corpus import given as givenCorpus
from smtpsource.messages.draws import Draws
from smtpsource.messages.parts import FilePart, StoredFile, StoredMessage, Unreadable
from smtpsource.messages.stored import StoredBodies, loaded
from smtpsource.smtp.chunking import chunks
from smtpsource.smtp.streaming import LARGEST_WRITE, PIECE

#: Messages: bytes with many line ends and dots.
TEXTS = st.lists(st.sampled_from([b".", b"\n", b"\r\n", b"x", b"..", b"\r", b"\0", b"\xff", b" "]), max_size=40).map(
    b"".join
)


def unstuffed(content):
    """
    @return: the message that a server makes of content.
    """
    assert content.endswith(b"\r\n.\r\n") or content == b".\r\n", content[-20:]
    lines = content[:-3].split(b"\r\n")
    assert b"." not in lines
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines)


def withLineEnds(text):
    """
    @return: a file's bytes with CRLF at the end of each line, the last one too.
    """
    text = text.replace(b"\r\n", b"\n")
    return (text[:-1] if text.endswith(b"\n") else text).replace(b"\n", b"\r\n") + b"\r\n"


def joined(parts):
    """
    @return: both parts of a content together.
    """
    own, shared = parts
    return own + bytes(shared)


class Case(SynchronousTestCase):
    """
    Corpora of a test's own.
    """

    def directory(self, **files):
        """
        @return: a directory with files of these names, C{_} for a dot, and contents.
        """
        path = Path(self.mktemp())
        path.mkdir(parents=True)
        for name, content in files.items():
            (path / name.replace("_", ".")).write_bytes(content)
        return path

    def file(self, content):
        """
        @return: the path of a file.
        """
        path = Path(self.mktemp())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def contents(self, corpus):
        """
        @return: every message as it is in its file.
        """
        return [bytes(corpus.read(n)) for n in range(len(corpus))]


class IndexTests(Case):
    """
    What is found where.
    """

    def test_directory(self):
        """
        The .eml files of a directory, in the order of their names; nothing else that is there.
        """
        path = self.directory(b_eml=b"two", a_EML=b"one", c_txt=b"no", weights=b"no", _hidden_eml=b"no")
        (path / "d.eml").mkdir()
        (path / "e.eml").symlink_to("b.eml")
        corpus = index(str(path))
        self.assertIsInstance(corpus, FileCorpus)
        self.assertEqual(self.contents(corpus), [b"one", b"two", b"two"])

    def test_maildir(self):
        """
        The messages of a Maildir, as Python's own mailbox has written it.
        """
        path = self.mktemp()
        box = mailbox.Maildir(path)
        keys = [box.add(b"Subject: %d\n\nx\n" % n) for n in range(3)]
        message = box[keys[0]]
        message.set_subdir("cur")
        message.add_flag("S")
        box[keys[0]] = message
        corpus = index(path)
        self.assertEqual(sorted(self.contents(corpus)), [b"Subject: %d\n\nx\n" % n for n in range(3)])
        self.assertEqual(bytes(corpus.read(0)), b"Subject: 0\n\nx\n")

    def test_mbox(self):
        """
        The messages of an mbox, as Python's own mailbox has written it.
        """
        path = self.mktemp()
        box = mailbox.mbox(path)
        texts = [b"Subject: a\n\nFirst\n\nFrom here\n", b"Subject: b\n\n\n\n", b"Subject: c\n\nlast"]
        for text in texts:
            box.add(text)
        box.close()
        corpus = index(path)
        self.assertIsInstance(corpus, MboxCorpus)
        expected = [b"Subject: a\n\nFirst\n\n>From here\n", b"Subject: b\n\n\n\n", b"Subject: c\n\nlast\n"]
        self.assertEqual(self.contents(corpus), expected)

    def test_refused(self):
        """
        What is no corpus is told, with what would be one.
        """
        what = (
            "expected a directory of .eml files, a Maildir (with cur and new in it), an mbox file or a pattern such as "
            "'mail/*.eml'"
        )
        maildir = self.directory()
        for name in ("cur", "new", "tmp"):
            (maildir / name).mkdir()
        for path, expected in (
            ("", what),
            ("/no/such/path", f"{what}: No such file or directory"),
            ("/dev/null", f"{what}; this file is empty"),
            (self.directory(a_txt=b"x"), f"{what}; there are no .eml files in this directory"),
            (maildir, "expected a Maildir with messages in cur or new; there are none"),
            (self.file(b"Subject: x\n"), f'{what}; this file does not begin with "From ", as an mbox file does'),
            (self.file(b""), f"{what}; this file is empty"),
            (
                self.file(b"From now on\nA: b\n"),
                f'{what}; this file does not begin with "From ", an address and a date, as an mbox file does',
            ),
            (
                self.file("From a\n".encode("utf-16")),
                f"{what}; expected UTF-8, not UTF-16, as its byte order mark says",
            ),
            (self.file(b"From a\n"), "expected an mbox file with messages in it; there are none after its first line"),
        ):
            self.assertEqual(str(self.assertRaises(ValueError, index, str(path))), expected)
        empty = self.directory(a_eml=b"", b_eml=b"")
        error = str(self.assertRaises(ValueError, index, str(empty)))
        self.assertTrue(error.startswith("expected at least one message that can be read; '/"), error)
        self.assertTrue(error.endswith("/a.eml': it is empty"), error)

    def test_pipes(self):
        """
        Nobody waits for what is no file.
        """
        path = self.directory(b_eml=b"x")
        os.mkfifo(path / "a.eml")
        self.assertEqual(len(index(str(path))), 1)
        os.mkfifo(path / "fifo")
        self.assertRaises(ValueError, index, str(path / "fifo"))

    def test_given(self):
        """
        A program gives a path, or what was found there.
        """
        path = str(self.directory(a_eml=b"x"))
        self.assertEqual(givenCorpus(path), path)
        corpus = index(path)
        self.assertIsInstance(corpus, Corpus)
        self.assertIs(givenCorpus(corpus), corpus)
        self.assertEqual((index(path), hash(index(path))), (corpus, hash(corpus)))
        self.assertNotEqual(corpus, index(str(self.directory(a_eml=b"x"))))
        for value in (b"x", 1, "a\0b", Path(path)):
            self.assertRaises(ValueError, givenCorpus, value)

    def test_below(self):
        """
        With all directories below it: what is in one comes before those in it, in the order of their names. Hidden ones
        and links to directories are left out.
        """
        path = self.directory(b_eml=b"1", x_txt=b"no")
        for name, content in (("a/z.eml", b"2"), ("a/b/x.EML", b"3"), ("c/y.eml", b"4"), (".git/w.eml", b"no")):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        (path / "d").symlink_to("a")
        (path / "e").symlink_to(".")
        corpus = index(str(path), True)
        self.assertEqual(self.contents(corpus), [b"1", b"2", b"3", b"4"])
        self.assertEqual(list(corpus.names()), [b"b.eml", b"a/z.eml", b"a/b/x.EML", b"c/y.eml"])
        self.assertEqual(self.contents(index(str(path))), [b"1"])
        (path / "weights").write_text("a/z.eml 2\n")
        self.assertEqual(corpus.weights().weights, (1.0, 2.0, 1.0, 1.0))
        self.assertIn(
            "no .eml files in this directory, and none below it",
            str(self.assertRaises(ValueError, index, str(self.directory(a=b"")), True)),
        )
        self.assertRaises(ValueError, index, str(self.file(b"From x@y\nA: b\n\n")), True)

    def test_colons(self):
        """
        What comes after a colon is left out of the name of a file alone, not of a directory's; a whole name is that of
        its file.
        """
        path = self.directory()
        for name in ("a:b/m.eml", "a:c/x:1.eml", "a:c/x:2.eml", "x.eml", "y", "y:2,S.eml"):
            (path / name).parent.mkdir(exist_ok=True)
            (path / name).write_bytes(b"x")
        names = index(f"{path}/**").names()
        whole = (b"a:b/m.eml", b"a:c/x:1.eml", b"a:c/x:2.eml", b"x.eml", b"y", b"y:2,S.eml")
        self.assertEqual(names, {b"a:c/x": 2, **{name: n for n, name in enumerate(whole)}})

    def test_folders(self):
        """
        The folders of a Maildir (Maildir++), as Python's own mailbox has made them; and Maildirs below a directory.
        """
        users = self.directory()
        for user in ("u1", "u2"):
            box = mailbox.Maildir(users / user)
            box.add(f"Subject: {user}\n\n".encode())
            for folder in ("Sent", "Sent.2026"):
                box.add_folder(folder).add(f"Subject: {user} {folder}\n\n".encode())
        expected = [
            f"Subject: {user}{name}\n\n".encode() for user in ("u1", "u2") for name in ("", " Sent", " Sent.2026")
        ]
        self.assertEqual(self.contents(index(str(users / "u1"), True)), expected[:3])
        self.assertEqual(self.contents(index(str(users), True)), expected)
        self.assertEqual(self.contents(index(str(users / "u1"))), expected[:1])

    def test_pattern(self):
        """
        All files that a pattern matches, whatever they are called, relative to the current directory; two asterisks are
        any directories. A file of such a name is what it is.
        """
        path = self.directory(a_msg=b"1", b_msg=b"2", c_txt=b"3").resolve()
        (path / "sub").mkdir()
        (path / "sub" / "d.msg").write_bytes(b"4")
        (path / "x.msg").mkdir()
        for name in ("loop", "other"):  # two of them, followed, would never end
            (path / name).symlink_to(".")
        for pattern, expected in (
            ("*.msg", b"12"),
            ("[ab]*", b"12"),
            ("?.*", b"123"),
            ("sub/*", b"4"),
            ("**/*.msg", b"124"),
            ("sub/../*.txt", b"3"),
            ("**/**/*.msg", b"124"),
        ):
            self.assertEqual(b"".join(self.contents(index(f"{path}/{pattern}"))), expected, pattern)
        self.assertIn("no file matches this", str(self.assertRaises(ValueError, index, f"{path}/*.eml")))
        error = str(self.assertRaises(ValueError, index, f"{path}/*.msg", True))
        self.assertEqual(error, "expected a directory, in which there may be others; in a pattern, ** stands for them")
        odd = path / "[x]"
        odd.mkdir()
        (odd / "1.msg").write_bytes(b"5")
        (odd / "box*").write_bytes(b"From a@b Mon Jan  1 00:00:00 2024\nSubject: 6\n\n")
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(odd)
        corpus = index("*.msg")
        os.chdir("..")
        self.assertEqual(self.contents(corpus), [b"5"])
        self.assertEqual((corpus.path, corpus.weightsPath), (f"{odd}/*.msg", f"{odd}/weights"))
        self.assertIsInstance(index(f"{odd}/box*"), MboxCorpus)

    def test_frugal(self):
        """
        Thousands of files are found without one of them being kept open.
        """
        path = self.directory()
        for n in range(3000):
            (path / f"{n:04}.eml").write_bytes(b"x" * 100)
        before = len(os.listdir("/proc/self/fd"))
        corpus = index(str(path))
        self.assertEqual(len(corpus), 3000)
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_marks(self):
        """
        A byte order mark is no part of a message, small or large, before or after a first line as in an mbox; a message
        in UTF-16 is none, and named.
        """
        mark, text, large = b"\xef\xbb\xbf", b"A: b\n", b"A: b\n\n" + b"y" * LARGEST_WRITE + b"\n"
        line = b"From x@y\n"
        path = self.directory(
            a_eml=mark + text,
            b_eml=mark + line + text,
            c_eml=line + mark + text,
            d_eml=mark + large,
            e_eml=mark + line + mark + large,
        )
        self.assertEqual(self.contents(index(str(path))), [text, text, text, large, large])
        for encoding, name in (("utf-16-le", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32-le", "UTF-32")):
            path = self.directory(a_eml="\ufeffA: b\n".encode(encoding), b_eml=text)
            corpus = index(str(path))
            self.assertEqual(corpus.sample, text)
            error = str(self.assertRaises(Unreadable, corpus.read, 0))
            self.assertTrue(error.endswith(f"a.eml': expected UTF-8, not {name}, as its byte order mark says"), error)
            only = self.directory(a_eml="\ufeffA: b\n".encode(encoding))
            self.assertIn(f"not {name}", str(self.assertRaises(ValueError, index, str(only))))
        for content in (mark, mark + line, line + mark):
            error = str(
                self.assertRaises(Unreadable, FileCorpus(str(self.directory(a_eml=content)), ["a.eml"]).read, 0)
            )
            self.assertTrue(error.endswith("it is empty"), error)

    def test_fromLine(self):
        """
        The first line of a file is no part of the message if it is that of an mbox.
        """
        path = self.directory(
            a_eml=b"From x@y\nA: b\n", b_eml=b"From x\n" + b"y" * LARGEST_WRITE + b"\n", c_eml=b"From: x\n"
        )
        self.assertEqual(self.contents(index(str(path))), [b"A: b\n", b"y" * LARGEST_WRITE + b"\n", b"From: x\n"])


class WeightTests(Case):
    """
    C{--pick weighted}.
    """

    def test_directory(self):
        """
        The file C{weights} has names and weights; who is not in it has the weight 1.
        """
        path = self.directory(a_eml=b"a", b_eml=b"b", c_eml=b"c", weights=b"c.eml 0\na.eml 2.5\n")
        self.assertEqual(index(str(path)).weights().weights, (2.5, 1.0, 0.0))

    def test_maildir(self):
        """
        In a Maildir a message is called by its name with or without its flags.
        """
        path = self.directory(weights=b"1.x 3\n2.x:2,S 4\n")
        for name in ("cur", "new"):
            (path / name).mkdir()
        for name in ("cur/1.x:2,S", "cur/2.x:2,S", "new/3.x"):
            (path / name).write_bytes(b"x")
        self.assertEqual(index(str(path)).weights().weights, (3.0, 4.0, 1.0))

    def test_mbox(self):
        """
        For an mbox there is a file beside it; messages have numbers.
        """
        path = self.file(b"From a\nA: b\n\nFrom b\nC: d\n")
        Path(f"{path}.weights").write_bytes(b"2 9\n")
        self.assertEqual(index(str(path)).weights().weights, (1.0, 9.0))

    def test_refused(self):
        """
        A file that is not there, or has something else in it, is told.
        """
        path = self.directory(a_eml=b"a")
        weights = path / "weights"
        end = f": {os.fspath(weights.absolute())!r}, which has the name of a message and its weight in each line"
        for content, expected in (
            (None, "expected a readable file: No such file or directory"),
            (b"a.eml 2\nb.eml 1\n", "expected the name of a message, in line 2"),
            (b"a.eml x\n", "expected a weight of 0 or more, such as 3 or 0.5, in line 1"),
            (b"a.eml 0\n", "expected a weight of more than 0"),
        ):
            if content is not None:
                weights.write_bytes(content)
            error = self.assertRaises(ValueError, index(str(path)).weights)
            self.assertEqual(str(error), expected + end)


class LoadedTests(Case):
    """
    A message as it is sent.
    """

    def check(self, text):
        """
        It is sent with CRLF line ends and nothing else changed, by DATA and by BDAT.
        """
        body = loaded(text)
        whole = withLineEnds(bytes(text))
        self.assertEqual((body.total, body.size), (len(whole), len(whole)))
        self.assertEqual(joined(body.bdatContent(b"A: b\r\n")), b"A: b\r\n" + whole)
        self.assertEqual(unstuffed(joined(body.content(b""))), whole)
        return body

    def stored(self, text):
        """
        @return: a file as one message.
        """
        file = StoredFile(str(self.file(text)))
        return FilePart(StoredMessage(file, 0, len(text)), 0, len(text))

    @given(TEXTS)
    def test_small(self, text):
        """
        Whatever is in it, a server gets it.
        """
        self.check(text)

    @given(TEXTS, TEXTS, TEXTS)
    @settings(max_examples=60, deadline=None)
    def test_large(self, begin, middle, end):
        """
        So it is with a large one, wherever its line ends and dots are.
        """
        text = begin + b"x" * (LARGEST_WRITE - len(begin)) + middle + b"y\r\n" * (LARGEST_WRITE // 3) + end
        self.check(self.stored(text))

    def test_notCopied(self):
        """
        A large message that can be sent as it is remains in its file; one that can't is made ready once.
        """
        line = b"x" * 78 + b"\r\n"
        for text, stays in (
            (line * 2000, True),
            (line * 2000 + b"end", True),
            (line * 2000 + b".\r\n", False),
            (b"." + line * 2000, False),
            (line * 2000 + b"\n", False),
            (line.replace(b"\r", b"") * 2000, False),
            (b"y" * (LARGEST_WRITE - 1) + b"\r\n" + line * 1000, True),
            (b"y" * (LARGEST_WRITE - 1) + b"\n" + line * 1000, False),
            (b"y" * LARGEST_WRITE + b"\n" + line * 1000, False),
            (b"y" * (LARGEST_WRITE - 2) + b"\r\n." + line * 1000, False),
        ):
            body = self.check(self.stored(text))
            for part in (body.content(b"head")[1], body.bdatContent(b"head")[1]):
                self.assertEqual(isinstance(part, FilePart), stays, text[:10])
            if not stays:
                self.assertIs(body.content(b"")[1], body.content(b"")[1])

    def test_identified(self):
        """
        Has it a Message-Id? Only its headers count, in any case.
        """
        for text, expected in (
            (b"Message-Id: <a>\n\nx", True),
            (b"A: b\r\nMESSAGE-ID : <a>\r\n\r\nx", True),
            (b"A: b\n\nMessage-Id: <a>\n", False),
            (b"\nMessage-Id: <a>\n", False),
            (b"Resent-Message-Id: <a>\n\nx", False),
            (b"X: y\n Message-Id: no\n\nx", False),
            (b"Message-Ids: <a>\n\nx", False),
            (b"", False),
        ):
            self.assertEqual(loaded(text).identified, expected, text)


class PartTests(Case):
    """
    Parts of files.
    """

    def part(self, text, start, end, tail=b""):
        """
        @return: a part of a file, and the file's path.
        """
        path = self.file(text)
        return FilePart(StoredMessage(StoredFile(str(path)), start, end), start, end, tail), path

    @given(st.data())
    @settings(max_examples=100, deadline=None)
    def test_slices(self, data):
        """
        It has the slices that bytes have; large ones are no bytes yet.
        """
        size = data.draw(st.sampled_from([1, 10, 1000, PIECE, 3 * PIECE]))
        text = bytes(n % 251 for n in range(size))
        start = data.draw(st.integers(0, size))
        end = data.draw(st.integers(start, size))
        found, _ = self.part(text, start, end, b"tail")
        expected = text[start:end] + b"tail"
        self.assertEqual((len(found), bytes(found)), (len(expected), expected))
        part = slice(*(data.draw(st.none() | st.integers(-2 * size, 2 * size)) for _ in range(2)))
        sliced = found[part]
        self.assertEqual(bytes(sliced), expected[part])
        self.assertEqual(isinstance(sliced, bytes), len(expected[part]) <= PIECE)
        self.assertRaises(ValueError, found.__getitem__, slice(None, None, 2))

    @given(st.integers(1, 400_000), st.one_of(st.none(), st.integers(1000, 500_000)))
    @settings(max_examples=50, deadline=None)
    def test_chunks(self, size, chunkSize):
        """
        It can be cut into chunks for BDAT.
        """
        text = b"x" * 1000 + b"y" * size
        found, _ = self.part(text, 1000, len(text), b"\r\n")
        sent = b"".join(own + bytes(shared) for _, own, shared, _ in chunks(b"head", found, chunkSize))
        self.assertEqual(sent, b"head" + text[1000:] + b"\r\n")

    def test_changed(self):
        """
        What was there before a file was changed is not mixed with what is there now: to read any of it is an error.
        """

        def shorten(path):
            os.truncate(path, 50_000)

        def empty(path):
            path.write_bytes(b"")

        def rewrite(path):
            path.write_bytes(b"y" * 100_000)

        def touch(path):
            os.utime(path, ns=(0, 1))

        def add(path):
            with path.open("ab") as file:
                file.write(b"z")

        for change, expected in (
            (shorten, "the file is shorter than it was"),
            (empty, "the file is shorter than it was"),
            (rewrite, "the file has changed since it was looked at"),
            (touch, "the file has changed since it was looked at"),
            (add, "the file has changed since it was looked at"),
        ):
            path = self.file(b"x" * 100_000)
            os.utime(path, ns=(0, 0))
            found = FilePart(StoredMessage(StoredFile(str(path)), 0, 100_000), 0, 100_000, b"\r\n")
            self.assertEqual(found[0:10], b"x" * 10)
            self.assertFalse(found.message.changed)
            change(path)
            self.assertTrue(found.message.changed)
            for read, argument in ((FilePart.__bytes__, ()), (FilePart.__getitem__, (slice(99_990, None),))):
                error = self.assertRaises(Unreadable, read, found, *argument)
                self.assertEqual(str(error), f"{str(path)!r}: {expected}")
            self.assertEqual(found[100_000:], b"\r\n")

    def test_unlinked(self):
        """
        A file that was removed, or that another took the place of, is what it was.
        """
        found, path = self.part(b"x" * 100_000, 0, 100_000)
        path.unlink()
        path.write_bytes(b"y")
        self.assertEqual(bytes(found), b"x" * 100_000)

    def test_closed(self):
        """
        A file is open for as long as somebody has a part of it.
        """
        before = len(os.listdir("/proc/self/fd"))
        found, _ = self.part(b"x\r\n" * PIECE, 0, 3 * PIECE)
        part = loaded(found[0 : 3 * PIECE]).content(b"")[1]
        del found
        self.assertEqual(len(os.listdir("/proc/self/fd")), before + 1)
        del part
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)
        self.assertRaises(OSError, StoredFile, "/no/such/file")


class StoredTests(Case):
    """
    Messages one after the other.
    """

    def bodies(self, path, pick="in-turn", seed=1, **settings):
        """
        @return: gives the next message's content, and a list of problems.
        """
        stored = StoredBodies(index(str(path)), pick, Draws(seed), **settings)
        problems, numbers = [], count(1)
        return lambda: unstuffed(joined(stored.draw(next(numbers), problems.append).content(b""))), problems

    def test_picks(self):
        """
        In turn, at random, by weight.
        """
        path = self.directory(a_eml=b"a", b_eml=b"b", c_eml=b"c", weights=b"a.eml 8\nb.eml 0\n")
        draw, _ = self.bodies(path)
        self.assertEqual([draw() for _ in range(4)], [b"a\r\n", b"b\r\n", b"c\r\n", b"a\r\n"])
        draw, _ = self.bodies(path, "random")
        found = Counter(draw() for _ in range(3000))
        self.assertTrue(all(880 < found[name] < 1120 for name in (b"a\r\n", b"b\r\n", b"c\r\n")), found)
        draw, _ = self.bodies(path, "weighted")
        found = Counter(draw() for _ in range(3000))
        self.assertEqual(set(found), {b"a\r\n", b"c\r\n"})
        self.assertTrue(270 < found[b"c\r\n"] < 400, found)

    def test_seed(self):
        """
        The same seed, the same order.
        """
        path = self.directory(**{f"{n}_eml": b"%d" % n for n in range(20)})
        one, two, other = (self.bodies(path, "random", seed)[0] for seed in (1, 1, 2))
        drawn = [one() for _ in range(50)]
        self.assertEqual([two() for _ in range(50)], drawn)
        self.assertNotEqual([other() for _ in range(50)], drawn)

    def test_vanished(self):
        """
        A file that is gone is told once, and left out: another one is sent in its place, and in each turn from another
        place on.
        """
        path = self.directory(a_eml=b"a", b_eml=b"b", c_eml=b"c")
        draw, problems = self.bodies(path, kept=0)
        self.assertEqual(draw(), b"a\r\n")
        (path / "b.eml").unlink()
        self.assertEqual(b"".join(draw() for _ in range(8)), b"c\r\nc\r\na\r\nc\r\nc\r\na\r\na\r\nc\r\n")
        expected = f"{str((path / 'b.eml').absolute())!r}: No such file or directory; left out from now on"
        self.assertEqual(problems, [expected])

    def test_allVanished(self):
        """
        When nothing is left, the last message that could be read is sent again.
        """
        for pick in ("in-turn", "random", "weighted"):
            path = self.directory(a_eml=b"a", b_eml=b"b", weights=b"a.eml 1000\n")
            draw, problems = self.bodies(path, pick, kept=0)
            last = draw()
            (path / "a.eml").unlink()
            (path / "b.eml").write_bytes(b"")
            self.assertEqual([draw() for _ in range(5)], [last] * 5)
            self.assertEqual(len(problems), 2, problems)

    def test_vanishedAtOnce(self):
        """
        Even if that happens before the first is sent.
        """
        path = self.directory(a_eml=b"a")
        corpus = index(str(path))
        (path / "a.eml").unlink()
        body = StoredBodies(corpus, "in-turn", Draws(1)).draw(1, lambda problem: None)
        self.assertEqual(joined(body.bdatContent(b"")), b"a\r\n")

    def test_changedAtOnce(self):
        """
        So it is with a large one that was changed at once: it can't be sent, and that is told.
        """
        path = self.directory(a_eml=b"x\r\n" * LARGEST_WRITE)
        corpus = index(str(path))
        os.truncate(path / "a.eml", 0)
        problems = []
        body = StoredBodies(corpus, "in-turn", Draws(1)).draw(1, problems.append)
        self.assertEqual(problems, [f"{str((path / 'a.eml').absolute())!r}: it is empty; left out from now on"])
        self.assertRaises(Unreadable, bytes, body.content(b"")[1])

    def test_nearlyAllVanished(self):
        """
        Of very many of which nearly all are gone, no message takes long: the one that is left is found with time.
        """

        class Gone(Corpus):
            path = "gone"
            sample = b"first"
            looked = 0

            def __len__(self):
                return 5000

            def read(self, index):
                self.looked += 1
                if index != 4321:
                    raise Unreadable(f"{index} is gone")
                return b"last"

            def names(self):
                raise NotImplementedError

            weightsPath = property(names)

        for pick in ("in-turn", "random"):
            corpus = Gone()
            bodies = StoredBodies(corpus, pick, Draws(1), kept=0)
            problems, found = [], []
            for number in range(1, 101):
                corpus.looked = 0
                found.append(joined(bodies.draw(number, problems.append).bdatContent(b"")))
                self.assertLessEqual(corpus.looked, 201)
            self.assertEqual(found[-30:], [b"last\r\n"] * 30)
            self.assertEqual(len(set(problems)), len(problems))

    def test_exhausted(self):
        """
        Where there can be no more open files, the last message is sent again, and nothing is left out.
        """
        path = self.directory(a_eml=b"a", b_eml=b"b")
        draw, problems = self.bodies(path, kept=0)
        draw()

        def refuse(path, flags):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        patch = self.patch(os, "open", refuse)
        self.assertEqual([draw() for _ in range(2)], [b"a\r\n"] * 2)
        self.assertEqual(len(problems), 2)
        self.assertTrue(problems[0].endswith("b.eml': Too many open files"), problems)
        patch.restore()
        self.assertEqual([draw(), draw()], [b"b\r\n", b"a\r\n"])

    def test_changed(self):
        """
        A file that is another by now is sent as it is now, if it was not kept.
        """
        path = self.directory(a_eml=b"a\n")
        draw, problems = self.bodies(path, kept=0)
        (path / "a.eml").write_bytes(b".b\nc")
        self.assertEqual(draw(), b".b\r\nc\r\n")
        self.assertEqual(problems, [])

    def test_changedLarge(self):
        """
        So it is with a large one that was kept: it is made ready again, as there may be dots in it now.
        """
        path = self.directory(a_eml=b"x" * 100_000 + b"\r\n")
        draw, problems = self.bodies(path)
        self.assertEqual(len(draw()), 100_002)
        os.utime(path / "a.eml", ns=(0, 0))
        (path / "a.eml").write_bytes(b".\r\nQUIT\r\n" + b"y" * 100_000)
        self.assertEqual(draw(), b".\r\nQUIT\r\n" + b"y" * 100_000 + b"\r\n")
        self.assertEqual(problems, [])

    def test_changedMbox(self):
        """
        What is added to an mbox changes nothing; what was there is left out if it isn't any more.
        """
        line = b"From a@b Mon Jan  1 10:00:00 2024\n"
        large = b"C: d\n\n" + b"x" * 100_000 + b"\n"
        path = self.file(line + b"A: b\n\n" + line + large)
        draw, problems = self.bodies(path, kept=0)
        expected = [b"A: b\r\n", large.replace(b"\n", b"\r\n")]
        for more in (b"\n" + line + b"E: f\n", line + b"G: h\n"):
            with path.open("ab") as file:
                file.write(more)
            self.assertEqual([draw() for _ in range(4)], expected * 2)
        self.assertEqual(problems, [])
        path.write_bytes(line + b"A: b\nmore\n\n" + line + large * 2)
        self.assertEqual([draw() for _ in range(3)], [expected[1]] * 3)
        what = "the file has changed since it was looked at; left out from now on"
        self.assertEqual(problems, [f"message {n} of {str(path.absolute())!r}: {what}" for n in (1, 2)])

    def test_doubts(self):
        """
        What is doubtful about an mbox is told once, with the first message.
        """
        line = b"From a@b Mon Jan  1 10:00:00 2024\n"
        draw, problems = self.bodies(self.file(line + b"A: b\n" + line + b"text\n"))
        self.assertEqual([draw(), draw()], [b"A: b\r\n" + line.replace(b"\n", b"\r\n") + b"text\r\n"] * 2)
        self.assertEqual(len(problems), 1)
        self.assertTrue(problems[0].startswith("line 3 of "), problems)

    def test_manyVanished(self):
        """
        Where thousands of messages can't be read, not all of them are tried for one that is to be sent.
        """
        path = self.directory()
        for n in range(1000):
            (path / f"{n:04}.eml").write_bytes(b"%d" % n)
        for pick in ("in-turn", "random"):
            corpus = index(str(path))
            stored = StoredBodies(corpus, pick, Draws(1), 0)
            reads = []

            def read(n, reads=reads):
                reads.append(n)
                if n != 999:
                    raise Unreadable("gone")
                return b"999"

            self.patch(corpus, "read", read)
            problems = []
            for number in range(1, 31):
                before = len(reads)
                stored.draw(number, problems.append)
                self.assertLessEqual(len(reads) - before, 100)
            self.assertEqual(joined(stored.draw(31, problems.append).bdatContent(b"")), b"999\r\n")
            self.assertEqual(len(problems), 999)
            self.assertEqual(set(problems), {"gone; left out from now on"})

    def test_shortenedMbox(self):
        """
        Messages that a file does not reach to any more are left out.
        """
        path = self.file(b"From a\nA: b\n\nFrom b\nC: d\n")
        draw, problems = self.bodies(path, kept=0)
        os.truncate(path, 13)
        self.assertEqual([draw() for _ in range(3)], [b"A: b\r\n"] * 3)
        expected = f"message 2 of {str(path.absolute())!r}: the file is shorter than it was; left out from now on"
        self.assertEqual(problems, [expected])

    def test_kept(self):
        """
        What was read is kept, but only so much of it: a file that is gone is still sent if it was kept.
        """
        path = self.directory(a_eml=b"a" * 1000, b_eml=b"b" * 1000, c_eml=b"c" * 1000)
        for kept, expected in ((100_000, 0), (5000, 3), (0, 3)):
            stored = StoredBodies(index(str(path)), "in-turn", Draws(1), kept)
            reads = []
            read = stored._corpus.read
            self.patch(stored._corpus, "read", lambda n, read=read, reads=reads: (reads.append(n), read(n))[1])
            for number in range(1, 7):
                stored.draw(number, self.fail)
            self.assertEqual(len(reads), 3 + expected)

    def test_descriptors(self):
        """
        Many large messages, one after the other, leave no files open but for those that are kept.
        """
        text = (b"x" * 78 + b"\r\n") * 1000
        path = self.directory(**{f"{n}_eml": text for n in range(50)})
        before = len(os.listdir("/proc/self/fd"))
        stored = StoredBodies(index(str(path)), "in-turn", Draws(1), 2_000_000)
        for number in range(1, 201):
            stored.draw(number, self.fail)
        self.assertLess(len(os.listdir("/proc/self/fd")) - before, 12)
