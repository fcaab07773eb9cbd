"""
Tests for L{smtpsource.process.places} and for what is written there: links, modes, owners, and what other users have
put in the way.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
import threading
from unittest import SkipTest

from hypothesis import strategies as st
from properties import given, settings
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.checkpoint import CheckpointError
from smtpsource.measure.checkpointfile import CheckpointFile
from smtpsource.process.places import Place, checked
from smtpsource.process.streams import Patience
from smtpsource.report.files import writeWhole

#: Two users.
ALICE, BOB = 31001, 31002


class PlaceTestCase(SynchronousTestCase):
    """
    What tests of places have in common.
    """

    def setUp(self):
        self.directory = os.path.abspath(self.mktemp())
        os.makedirs(self.directory)

    def path(self, *names):
        """
        @return: an absolute path below the test's directory.
        """
        return os.path.join(self.directory, *names)

    def content(self, *names):
        """
        @return: what is in a file.
        """
        with open(self.path(*names)) as file:
            return file.read()

    def write(self, text, *names, mode=0o644):
        """
        @return: the path of a new file.
        """
        with open(self.path(*names), "w") as file:
            file.write(text)
        os.chmod(self.path(*names), mode)
        return self.path(*names)


class OwnTests(PlaceTestCase):
    """
    Places without other users.
    """

    def test_mode(self):
        """
        A file that is replaced keeps its mode, whatever the umask; while it is written nobody can read more of it. A
        new one has what the umask leaves.
        """
        self.addCleanup(os.umask, os.umask(0o022))
        for mode in (0o600, 0o640, 0o664, 0o444):
            path = self.write("old", "report", mode=mode)

            def pieces(mode=mode):
                yield "new"
                aside = [name for name in os.listdir(self.directory) if name != "report"]
                self.assertEqual([stat.S_IMODE(os.stat(self.path(name)).st_mode) for name in aside], [0o600])

            writeWhole(path, pieces())
            self.assertEqual((self.content("report"), stat.S_IMODE(os.stat(path).st_mode)), ("new", mode))
            os.unlink(path)
        writeWhole(self.path("another"), ["text"])
        self.assertEqual(stat.S_IMODE(os.stat(self.path("another")).st_mode), 0o644)

    def test_links(self):
        """
        Links of one's own are followed and stay: what they name is replaced as a whole, beside where it is.
        """
        os.makedirs(self.path("elsewhere", "deep"))
        self.write("old", "elsewhere", "deep", "target", mode=0o600)
        os.symlink("elsewhere/deep", self.path("folder"))
        os.symlink("../deep/target", self.path("elsewhere", "deep", "again"))
        os.symlink(self.path("folder", "again"), self.path("link"))
        with open(self.path("link")) as old:
            writeWhole(checked(self.path("link")), ["new"])
            self.assertEqual(old.read(), "old")
        self.assertEqual(self.content("elsewhere", "deep", "target"), "new")
        self.assertEqual(stat.S_IMODE(os.stat(self.path("link")).st_mode), 0o600)
        self.assertTrue(os.path.islink(self.path("link")))
        self.assertEqual(sorted(os.listdir(self.path("elsewhere", "deep"))), ["again", "target"])
        os.symlink("nothing-yet", self.path("dangling"))
        writeWhole(checked(self.path("dangling")), ["text"])
        self.assertEqual(self.content("nothing-yet"), "text")

    def test_impossible(self):
        """
        What can't be written to is said before the run; and later, if it has become so.
        """
        os.symlink("loop", self.path("loop"))
        for path, words in (
            (self.path("loop"), "Too many levels of symbolic links"),
            (self.path("no", "file"), "there is no"),
            (self.path("x" * 300), "File name too long"),
            (self.directory, "name of a file"),
            ("/dev/fd/999", "descriptor that is open"),
            (f"/proc/{os.getpid()}/fd/999", "descriptor that is open"),
        ):
            self.assertIn(words, str(self.assertRaises(ValueError, checked, path)))
            self.assertRaises(OSError, writeWhole, path, ["text"])
        self.assertEqual(os.listdir(self.directory), ["loop"])

    def test_descriptors(self):
        """
        A descriptor of this process is written to as it is, whatever it was opened for, and by whatever name; that of
        standard output is C{-}.
        """
        names = ["/dev/fd/{}", "/proc/self/fd/{}", f"/proc/{os.getpid()}/fd/{{}}", "/proc/thread-self/fd/{}"]
        for name in names:
            path = self.write("before ", "file")
            with open(path, "a") as file:
                inode = os.fstat(file.fileno()).st_ino
                writeWhole(checked(name.format(file.fileno())), ["text"])
                file.write(" after")
            self.assertEqual((self.content("file"), os.stat(path).st_ino), ("before text after", inode), name)
            with open(path) as file:
                e = self.assertRaises(ValueError, checked, name.format(file.fileno()))
                self.assertIn("can be written", str(e))
            self.assertEqual(checked(name.format(1)), "-")
        self.assertEqual(checked("/dev/stdout"), "-")
        self.assertEqual(checked("/dev/stderr"), "/dev/stderr")
        # As >(cmd) of a shell is.
        reader, writer = os.pipe()
        writeWhole(checked(f"/dev/fd/{writer}"), ["text"])
        self.assertEqual(os.read(reader, 100), b"text")
        os.close(writer)
        os.close(reader)

    def test_fifo(self):
        """
        A FIFO whose reader comes late, and is slow, gets all of it; one that nobody reads is waited for, but not for
        ever.
        """
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        self.assertEqual(checked(fifo), fifo)
        e = self.assertRaises(OSError, writeWhole, fifo, ["text"], Patience(0))
        self.assertEqual(e.strerror, "nobody reads it")
        texts = [f"{n}\n" for n in range(100_000)]
        written = threading.Thread(target=writeWhole, args=(fifo, texts, Patience(60)))
        written.start()
        with open(fifo) as reader:
            self.assertEqual(reader.read(), "".join(texts))
        written.join()
        with open(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)):
            e = self.assertRaises(OSError, writeWhole, fifo, texts, Patience(0))
            self.assertEqual(e.strerror, "nobody reads it")
        self.assertTrue(stat.S_ISFIFO(os.stat(fifo).st_mode))

    def test_devices(self):
        """
        A device is written to.
        """
        writeWhole(checked("/dev/null"), ["text"])
        e = self.assertRaises(OSError, writeWhole, checked("/dev/full"), ["text"])
        self.assertEqual(e.strerror, "No space left on device")
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))

    @given(st.lists(st.sampled_from(["a", "b", "l", "m", "..", ".", ""]), min_size=1, max_size=8))
    @settings(max_examples=50)
    def test_anyPath(self, names):
        """
        A place is where the system finds it.
        """
        root = self.path("root")
        os.makedirs(os.path.join(root, "a", "b"), exist_ok=True)
        for link, target in (("l", "a/b/.."), ("a/m", root), ("a/b/l", "../..//a/./b")):
            if not os.path.islink(os.path.join(root, link)):
                os.symlink(target, os.path.join(root, link))
        path = "/".join([root, *names, "file"])
        beside = os.path.dirname(path)
        if not os.path.isdir(beside):
            self.assertRaises(OSError, Place, path)
            return
        with Place(path) as place:
            self.assertEqual(os.fstat(place.directory).st_ino, os.stat(beside).st_ino)
            self.assertEqual((place.name, place.status), ("file", None))

    def test_identity(self):
        """
        Two names of a place are known as that, whether there is something or not.
        """
        self.write("x", "file")
        os.link(self.path("file"), self.path("hard"))
        os.symlink("file", self.path("link"))
        os.symlink("nothing", self.path("dangling"))
        os.symlink(".", self.path("here"))

        def identity(*names):
            with Place(self.path(*names)) as place:
                return place.identity

        self.assertEqual(len({identity(name) for name in ("file", "hard", "link", "here/here/file")}), 1)
        self.assertEqual(len({identity(name) for name in ("nothing", "dangling", "here/nothing")}), 1)
        self.assertEqual(len({identity(name) for name in ("nothing", "file", "other")}), 3)


class StrangerTests(PlaceTestCase):
    """
    A directory for everybody, as /tmp is, in which another user puts something in our way. We are Alice.
    """

    def setUp(self):
        if os.geteuid() != 0:
            raise SkipTest("only root can play two users")
        # Where everybody can go, which need not be so where trial runs.
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        os.chmod(self.directory, 0o755)
        self.shared, self.victim = self.path("shared"), self.path("alice", "precious")
        for name, mode in (("shared", 0o1777), ("alice", 0o755)):
            os.mkdir(self.path(name))
            os.chmod(self.path(name), mode)
        self.write("precious", "alice", "precious")
        os.chown(self.path("alice"), ALICE, ALICE)
        os.chown(self.victim, ALICE, ALICE)

    def asUser(self, user, call, *arguments):
        """
        @return: what a call returns, or the exception that it raises, when this user makes it.
        """
        os.setegid(user)
        os.seteuid(user)
        try:
            return call(*arguments)
        except (OSError, ValueError) as e:
            return e
        finally:
            os.seteuid(0)
            os.setegid(0)

    def assertRefused(self, name, words, user=ALICE):
        """
        It is refused before the run, and at its end.
        """
        path = os.path.join(self.shared, name)
        before = self.asUser(user, checked, path)
        self.assertIsInstance(before, ValueError)
        self.assertIn(words, str(before))
        after = self.asUser(user, writeWhole, path, [json.dumps({"report": 1})])
        self.assertIsInstance(after, OSError)
        self.assertIn(words, after.strerror)

    def assertWritten(self, name, user=ALICE):
        """
        It is written, and by nobody else.
        """
        path = os.path.join(self.shared, name)
        self.assertEqual(self.asUser(user, checked, path), path)
        self.assertIsNone(self.asUser(user, writeWhole, path, [json.dumps({"report": 1})]))
        with open(path) as file:
            self.assertEqual(json.load(file), {"report": 1})

    def plant(self, user, name, target):
        """
        A user puts a link there.
        """
        path = os.path.join(self.shared, name)
        os.symlink(target, path)
        os.lchown(path, user, user)
        return path

    def test_link(self):
        """
        A link of another user's is not followed: not to a file, not into a directory, not to what is not there yet, not
        through a link of one's own; by root least of all.
        """
        self.plant(BOB, "report", self.victim)
        self.plant(BOB, "folder", self.path("alice"))
        self.plant(BOB, "dangling", self.path("alice", "new"))
        self.plant(ALICE, "own", "report")
        for user in (ALICE, 0):
            for name in ("report", "folder/precious", "folder/new", "dangling", "own"):
                self.assertRefused(name, "is a link that another user has put in a directory", user)
        self.assertEqual(self.content("alice", "precious"), "precious")
        self.assertEqual(os.listdir(self.path("alice")), ["precious"])

    def test_ownLink(self):
        """
        A link of one's own, or of the owner of the directory, is.
        """
        self.plant(ALICE, "own", self.victim)
        self.plant(0, "root's", self.victim)
        for name in ("own", "root's"):
            self.assertWritten(name)
        self.assertEqual(json.loads(self.content("alice", "precious")), {"report": 1})

    def test_elsewhere(self):
        """
        In other directories it is nobody's business whose a link is.
        """
        os.chmod(self.shared, 0o755)
        self.plant(BOB, "link", self.victim)
        self.assertWritten("link", 0)

    def test_file(self):
        """
        A file or FIFO of another user's is left alone, though everybody may write to it.
        """
        path = os.path.join(self.shared, "file")
        self.write("Bob's", "shared", "file", mode=0o666)
        os.mkfifo(os.path.join(self.shared, "fifo"), 0o666)
        os.chmod(os.path.join(self.shared, "fifo"), 0o666)
        for name in ("file", "fifo"):
            os.chown(os.path.join(self.shared, name), BOB, BOB)
        reader = os.open(os.path.join(self.shared, "fifo"), os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        for user in (ALICE, 0):
            self.assertRefused("file", "is a file that another user has put in a directory", user)
            self.assertRefused("fifo", "is a FIFO that another user has put in a directory", user)
        self.assertEqual(self.content("shared", "file"), "Bob's")
        os.chown(path, ALICE, ALICE)
        self.assertWritten("file")
        self.assertWritten("new")

    def test_checkpoints(self):
        """
        A directory or a link of another user's is no place for a checkpoint.
        """
        bobs = os.path.join(self.shared, "bobs")
        os.mkdir(bobs)
        os.chmod(bobs, 0o777)
        os.chown(bobs, BOB, BOB)
        self.plant(BOB, "link", self.path("alice"))
        for name, kind, words in (
            ("bobs", CheckpointError, "belongs to another user"),
            ("link", OSError, "is a link that another user has put in a directory"),
        ):
            refused = self.asUser(ALICE, CheckpointFile, os.path.join(self.shared, name), {})
            self.assertIsInstance(refused, kind)
            self.assertIn(words, str(refused))
        self.assertEqual((os.listdir(bobs), os.listdir(self.path("alice"))), ([], ["precious"]))
        new = self.asUser(ALICE, CheckpointFile, os.path.join(self.shared, "new"), {})
        self.addCleanup(new.close)
        self.assertEqual(sorted(os.listdir(os.path.join(self.shared, "new"))), ["records", "run.json"])

    def test_fileOfRoot(self):
        """
        One that can't be replaced there is told of before the run.
        """
        self.write("root's", "shared", "file", mode=0o666)
        self.assertIsInstance(self.asUser(ALICE, checked, os.path.join(self.shared, "file")), ValueError)

    def test_owner(self):
        """
        Who owns a file that root replaces still owns it; where it can't be given back, it is no more open than it was.
        """
        os.chmod(self.victim, 0o640)
        writeWhole(self.victim, [json.dumps({"report": 1})])
        status = os.stat(self.victim)
        self.assertEqual((status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)), (ALICE, ALICE, 0o640))
        os.chown(self.victim, BOB, BOB)
        os.chmod(self.victim, 0o664)
        self.assertIsNone(self.asUser(ALICE, writeWhole, self.victim, [json.dumps({"report": 2})]))
        status = os.stat(self.victim)
        self.assertEqual((status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)), (ALICE, ALICE, 0o644))
