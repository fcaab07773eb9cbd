"""
Ledgers as files: what is written is what is read, whatever becomes of the writer.
"""

import base64
import os
import quopri
import resource
import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.ledger import digests, identity, records
from smtpsource.ledger.book import Book
from smtpsource.ledger.reading import LedgerError, LedgerFile, ledgersIn, textsOf

RUN = b"0123456789abcdef"

texts = st.binary(max_size=300)
#: Bodies with many line ends.
pieces = st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b".", b"=", b"\xe4", b"text"])
bodies = st.lists(pieces, max_size=40).map(b"".join)


def record(kind, number=0, **fields):
    """
    A record of which only some fields matter.
    """
    values = dict.fromkeys((name for name, _, _ in records.FIELDS), 0)
    return records.pack(*(values | {"kind": kind, "number": number} | fields).values())


class RecordsTests(SynchronousTestCase):
    """
    Records, headers and texts.
    """

    @given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 2**64 - 1), texts), max_size=5))
    def test_texts(self, named):
        """
        Any text comes back, of any length, in any row of records.
        """
        row = b"".join(record(records.ALIVE) + records.named(*one, 7) for one in named)
        self.assertEqual(len(row) % records.SIZE, 0)
        self.assertEqual(list(records.textsOf(row)), named)

    @given(st.dictionaries(st.text(max_size=20), st.text(max_size=100) | st.integers(), max_size=5))
    def test_header(self, content):
        """
        A header is one line, as long as some records, and says what it was given.
        """
        content = {key: value for key, value in content.items() if key != "ledger"}
        content |= {"role": "sink", "offset": 0}
        header = records.headerOf(content)
        self.assertEqual((len(header) % records.SIZE, header.count(b"\n")), (0, 1))
        found, size = records.parseHeader(header + record(records.END))
        self.assertEqual((found, size), ({"ledger": records.VERSION, **content}, len(header)))

    def test_noHeader(self):
        """
        What is no ledger, or one of another version, is told so.
        """
        for beginning in (b"", b"From foo\n", b"{}\n", b"[" * 63 + b"\n", b"\x00" * 128, b"[" * 100_000 + b"\n"):
            self.assertRaisesRegex(ValueError, "^expected a ledger, which begins", records.parseHeader, beginning)
        for content in ({}, {"role": "source"}, {"role": "x", "offset": 1}, {"role": "sink", "offset": None}):
            header = records.headerOf(content)
            self.assertRaisesRegex(ValueError, "^expected a ledger that says its role", records.parseHeader, header)
        other = records.headerOf({}).replace(b'"ledger": 1', b'"ledger": 9')
        self.assertRaisesRegex(ValueError, "^expected a ledger of version 1, not 9$", records.parseHeader, other)


class IdentityTests(SynchronousTestCase):
    """
    The ids that messages carry.
    """

    @given(st.integers(1, 2**63 - 1), st.binary(max_size=10).map(lambda around: around.hex().encode() + b" "))
    def test_found(self, number, around):
        """
        An id is found in whatever carries it, and its text is the same again.
        """
        one = identity.idOf(RUN, number)
        for text in (one, b"<" + one + b"@host.example>", around + one, one + b" " + around):
            found = identity.parse(text)
            self.assertEqual(found, identity.Identity(int(RUN, 16), number))
            self.assertEqual(identity.textOf(found).encode(), one)

    @given(st.integers(1, 10**18), st.data())
    def test_damaged(self, number, data):
        """
        Whatever digit is another, no message of the run is taken for another one.
        """
        one = bytearray(identity.idOf(RUN, number))
        at = data.draw(st.integers(0, len(one) - 1))
        one[at] = data.draw(st.sampled_from(sorted(set(b"0123456789abcdef-x") - {one[at]})))
        try:
            found = identity.parse(bytes(one))
        except ValueError:
            return
        self.assertIsNone(found)

    def test_inHead(self):
        """
        The header is found in any spelling and folded, but not within another line.
        """
        one = identity.idOf(RUN, 1)
        for head in (b"%b\r\n", b"A: b\r\n%b", b"A: b\n%b\n"):
            for line in (b"X-Smtpsource-Id: " + one, b"x-smtpsource-ID:" + one, b"X-Smtpsource-Id:\r\n\t" + one):
                self.assertEqual(identity.inHead(head % line)[1], one)
        self.assertIsNone(identity.inHead(b"A: X-Smtpsource-Id: " + one))


class DigestTests(SynchronousTestCase):
    """
    What of a body has to stay the same.
    """

    @given(bodies, st.lists(st.integers(0, 100), max_size=5))
    def test_pieces(self, body, cuts):
        """
        The digests don't depend on the pieces in which a body comes.
        """
        for head in (b"A: b\r\n", b"Content-Transfer-Encoding: base64\r\n"):
            pieces = digests.BodyDigest(head)
            places = sorted({0, *(min(cut, len(body)) for cut in cuts), len(body)})
            for start, end in pairwise(places):
                pieces.add(body[start:end])
            self.assertEqual(pieces.result(), digests.ofBody(head, body))

    @given(bodies.map(lambda body: body.replace(b"\r", b"")), st.integers(0, 3))
    def test_lineEnds(self, body, more):
        """
        Other line ends, and more or fewer at its end, are the same body, written in another way.
        """
        raw, canonical = digests.ofBody(b"", body)
        other = body.replace(b"\n", b"\r\n") + b"\r\n" * more
        otherRaw, otherCanonical = digests.ofBody(b"", other)
        self.assertEqual(canonical, otherCanonical)
        self.assertEqual(raw == otherRaw, body == other)

    @given(bodies.map(lambda body: body.replace(b"\r", b"").rstrip(b"\n") + b"\n"))
    def test_encodings(self, body):
        """
        A server that encodes a body leaves it as it is.
        """
        _, canonical = digests.ofBody(b"Subject: a\r\n", body)
        for name, encoded in (
            (b"quoted-printable", quopri.encodestring(body)),
            (b"Base64", base64.encodebytes(body)),
        ):
            head = b"Subject: a\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: " + name + b"\r\n"
            self.assertEqual(digests.ofBody(head, encoded.replace(b"\n", b"\r\n"))[1], canonical)

    def test_parts(self):
        """
        So it is with each part of a body that has some; a letter of one is another body.
        """
        head = b'Content-Type: multipart/mixed; boundary="b"\r\n'
        part = b"--b\r\nContent-Type: text/plain\r\n%b\r\n%b\r\n"
        encoding = b"Content-Transfer-Encoding: quoted-printable\r\n"
        bodies = [
            part % (b"", "gr\u00fcn".encode()) + part % (b"", b"other") + b"--b--\r\n",
            part % (encoding, b"gr=C3=BCn") + part % (b"", b"other") + b"--b--\r\n",
            part % (encoding, b"gr=C3=BCn") + part % (b"", b"Other") + b"--b--\r\n",
        ]
        first, same, other = (digests.ofBody(head, body)[1] for body in bodies)
        self.assertEqual(first, same)
        self.assertNotEqual(first, other)

    def test_partHeaders(self):
        """
        The headers of parts are no less than what they are of, and so is what stands around the parts; only how they
        are folded may be changed, and what they say of the encoding.
        """
        head = b'Content-Type: multipart/mixed; boundary="b"\r\n'
        body = (
            b"For old readers.\r\n\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\nhello\r\n"
            b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n"
            b"Content-Type: multipart/mixed; boundary=c\r\n\r\n"
            b"--c\r\n\r\none\r\n--c\r\nX: y\r\n\r\ntwo\r\n--c--\r\n--b--\r\nAfter.\r\n"
        )
        _, canonical = digests.ofBody(head, body)
        for old, new, isSame in (
            (b"application/pdf;", b"application/pdf;\r\n\t", True),
            (b"a.pdf\r\n", b"a.pdf\r\nContent-Transfer-Encoding: 7bit\r\n", True),
            (b"one\r\n", b"one\r\n\r\n", True),
            (b"readers.\r\n", b"readers.\r\n\r\n", True),
            (b"After.", b"\r\nAfter.", True),
            (b"application/pdf", b"text/html", False),
            (b"a.pdf", b"a.exe", False),
            (b"Subject: x", b"Subject: y", False),
            (b"X: y\r\n", b"", False),
            (b"For old", b"For", False),
            (b"After.", b"Later.", False),
            (b"--c--\r\n", b"--c\r\n\r\nthree\r\n--c--\r\n", False),
            (b"--c\r\nX: y\r\n\r\ntwo\r\n--c--\r\n", b"--c--\r\n--b\r\nX: y\r\n\r\ntwo\r\n", False),
        ):
            other = body.replace(old, new)
            self.assertNotEqual(other, body)
            self.assertEqual(digests.ofBody(head, other)[1] == canonical, isSame, (old, new))

    def test_encodingHeader(self):
        """
        However it is written.
        """
        _, plain = digests.ofBody(b"", b"hello\r\n")
        for value in (b"base64", b"BASE64 ", b"\r\n base64", b"base64 \r\n\t", b"(c) base64 (d)"):
            head = b"Content-Transfer-Encoding: " + value + b"\r\n"
            self.assertEqual(digests.ofBody(head, b"aGVsbG8=\r\n")[1], plain, value)

    def test_deep(self):
        """
        What has too many parts in each other to be taken apart counts as it is.
        """
        head = b"Content-Type: message/rfc822\r\n"
        for depth in (60, 5000):
            body = (head + b"\r\n") * depth + b"x\r\n"
            self.assertEqual(digests.ofBody(head, body)[1], digests.ofBody(b"", body)[1])
        body = (head + b"\r\n") * 40 + b"x\r\n"
        self.assertNotEqual(digests.ofBody(head, body)[1], digests.ofBody(b"", body)[1])

    @given(bodies.filter(lambda body: body.strip(b"\r\n")))
    def test_changed(self, body):
        """
        A body with one more letter is another one.
        """
        self.assertNotEqual(digests.ofBody(b"", b"z" + body)[1], digests.ofBody(b"", body)[1])

    def test_address(self):
        """
        Case has no meaning in a domain, and may have one before it.
        """
        self.assertEqual(digests.ofAddress(b"Foo@Example.COM"), digests.ofAddress(b"Foo@example.com"))
        self.assertNotEqual(digests.ofAddress(b"Foo@example.com"), digests.ofAddress(b"foo@example.com"))


class BookTests(SynchronousTestCase):
    """
    A ledger that is written, and read meanwhile.
    """

    def setUp(self):
        self.directory = os.path.join(self.mktemp(), "ledger")
        self.book = Book(self.directory, "source", {"run": RUN.decode()})
        self.addCleanup(self.book.close)

    def read(self):
        """
        The numbers of all records that another reader finds.
        """
        file = LedgerFile(self.book.path)
        self.addCleanup(file.close)
        return [int(number) for found in file.rest() for number in found["number"]]

    def test_atOnce(self):
        """
        What was put is there when that returns; what was added, with the next that is put or flushed.
        """
        self.book.put(record(records.INTENT, 1))
        self.assertEqual(self.read(), [1])
        self.book.add(record(records.OUTCOME, 2))
        self.assertTrue(self.book.waits)
        self.assertEqual(self.read(), [1])
        self.book.put(record(records.INTENT, 3))
        self.assertEqual(self.read(), [1, 2, 3])
        self.book.add(record(records.OUTCOME, 4))
        self.book.flush()
        self.assertEqual((self.read(), self.book.waits), ([1, 2, 3, 4], False))

    def test_header(self):
        """
        The header has the clocks and what it was given.
        """
        file = LedgerFile(self.book.path)
        self.addCleanup(file.close)
        self.assertEqual((file.role, file.run), ("source", int(RUN, 16)))
        self.assertEqual(file.header["offset"], file.header["wall"] - file.header["monotonic"])
        self.assertLess(abs(file.wall(time.monotonic_ns()) - time.time_ns()), 5 * 10**9)

    def test_private(self):
        """
        Nobody else may read it: it has addresses.
        """
        self.assertEqual(os.stat(self.book.path).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.directory).st_mode & 0o777, 0o700)

    def test_named(self):
        """
        An address is named once, along with the first record that has it.
        """
        number = self.book.address(b"foo@example.com")
        self.assertEqual(self.book.address(b"foo@example.com"), number)
        self.book.put(record(records.INTENT, 1, address=number))
        file = LedgerFile(self.book.path)
        self.addCleanup(file.close)
        self.assertEqual(textsOf(file.next()), [(records.ADDRESS, number, b"foo@example.com")])

    def test_torn(self):
        """
        A record that is there in part is none, until it is there.
        """
        file = LedgerFile(self.book.path)
        self.addCleanup(file.close)
        whole = record(records.INTENT, 1)
        with open(self.book.path, "ab", buffering=0) as other:
            other.write(whole[:40])
            self.assertEqual(len(file.next()), 0)
            other.write(whole[40:])
        self.assertEqual(file.next()["number"].tolist(), [1])

    def test_full(self):
        """
        Where there is room for half of what is to be written, nothing of it is there, and what comes later stands where
        it belongs.
        """
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = os.stat(self.book.path).st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
        try:
            self.assertRaises(OSError, self.book.put, record(records.INTENT, 1) * 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        self.assertEqual(os.stat(self.book.path).st_size, size)
        self.book.put(record(records.INTENT, 3))
        self.assertEqual(self.read(), [3])

    def test_end(self):
        """
        The end is the last record, whoever asks for it how often.
        """
        self.book.add(record(records.OUTCOME, 1))
        self.book.close()
        self.book.close()
        file = LedgerFile(self.book.path)
        self.addCleanup(file.close)
        self.assertEqual(file.next()["kind"].tolist(), [records.OUTCOME, records.END])

    def test_several(self):
        """
        Each process, and each book of one, has a file of its own; those of generators are read first.
        """
        others = [Book(self.directory, role, {}) for role in ("sink", "source", "sink")]
        for other in others:
            other.close()
        found = ledgersIn(self.directory)
        for file in found:
            file.close()
        self.assertEqual([file.role for file in found], ["source", "source", "sink", "sink"])
        self.assertEqual(len({file.path for file in found}), 4)

    def test_unusable(self):
        """
        What can't be read is told in one line.
        """
        os.mkdir(empty := self.mktemp())
        self.assertRaisesRegex(LedgerError, "expected a directory with ledgers in it", ledgersIn, empty)
        self.assertRaisesRegex(LedgerError, "No such file or directory", ledgersIn, "no/such")
        with open(os.path.join(empty, "a.ledger"), "w") as file:
            file.write("nothing of ours\n")
        self.assertRaisesRegex(LedgerError, "a.ledger: expected a ledger, which begins with a line", ledgersIn, empty)
