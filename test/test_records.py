"""
Tests for records: they are what C{dataclasses} would make of them.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import dataclass, field

from twisted.trial.unittest import SynchronousTestCase

from smtpsource import records


class _Fields:
    """
    What both kinds have.
    """

    name: str
    number: int = 3
    names: list[str] = field(default_factory=list)
    hidden: int = field(default=4, compare=False, repr=False)
    kept: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def twice(self):
        """
        @return: something that follows.
        """
        return 2 * self.number


def _made(by):
    body = {name: value for name, value in vars(_Fields).items() if not name.startswith("__")}
    body |= {"__annotations__": _Fields.__annotations__, "__doc__": "A record.", "__module__": __name__}
    return by(frozen=True)(type("Record", (), body))


Record = _made(records.dataclass)
Usual = _made(dataclass)


class RecordTests(SynchronousTestCase):
    """
    The same done with a record, and with a usual dataclass.
    """

    def same(self, do):
        """
        @param do: takes a class, and returns something of it.
        """
        self.assertEqual(do(Record), do(Usual))

    def test_made(self):
        """
        Values are given by place or by name, or are those by default; what is made by default is another each time.
        """
        for arguments, keywords in (
            (("a",), {}),
            (("a", 5, ["b"], 6), {}),
            ((), {"name": "a"}),
            (("a",), {"hidden": 7, "number": 8}),
        ):
            self.same(lambda kind, arguments=arguments, keywords=keywords: vars(kind(*arguments, **keywords)))
        self.assertIsNot(Record("a").names, Record("a").names)
        self.assertIsNot(Record("a").kept, Record("a").kept)
        self.assertEqual(Record("a", 5).twice(), 10)

    def test_wrong(self):
        """
        What is missing, unknown, given twice or too much is a C{TypeError}, as anywhere.
        """
        for arguments, keywords in (
            ((), {}),
            ((), {"number": 5}),
            (("a",), {"other": 5}),
            (("a",), {"name": "b"}),
            (("a",), {"kept": {}}),
            (("a", 5, [], 6, 7), {}),
        ):
            for kind in (Record, Usual):
                self.assertRaises(TypeError, kind, *arguments, **keywords)

    def test_told(self):
        """
        C{repr()} is the same.
        """
        self.same(lambda kind: repr(kind("a", 5, ["b"], 6)))
        mine = Record("a")
        mine.names.append(mine)
        self.assertEqual(repr(mine), "Record(name='a', number=3, names=[...])")

    def test_equal(self):
        """
        Those with the same values are equal, whatever is not compared, and have the same hash; others are not.
        """
        self.assertEqual(Record("a", 5), Record("a", 5, hidden=9))
        self.assertNotEqual(Record("a", 5), Record("a", 6))
        self.assertNotEqual(Record("a"), Usual("a"))
        self.same(lambda kind: hash(kind("a", names=())))
        self.assertRaises(TypeError, hash, Record("a"))

    def test_frozen(self):
        """
        Nothing is changed or deleted.
        """
        record = Record("a")
        self.assertRaises(dataclasses.FrozenInstanceError, setattr, record, "name", "b")
        self.assertRaises(dataclasses.FrozenInstanceError, delattr, record, "name")
        self.assertRaises(dataclasses.FrozenInstanceError, setattr, record, "other", "b")

    def test_dataclasses(self):
        """
        It is a dataclass to those who ask.
        """
        self.assertTrue(dataclasses.is_dataclass(Record))
        self.same(lambda kind: [(each.name, each.type) for each in dataclasses.fields(kind)])
        self.same(lambda kind: dataclasses.asdict(kind("a")))
        self.same(lambda kind: vars(dataclasses.replace(kind("a"), number=5)))
        self.same(lambda kind: kind.__match_args__)
        self.assertRaises((ValueError, TypeError), dataclasses.replace, Record("a"), kept={})

    def test_copied(self):
        """
        It can be copied, and go to another process.
        """
        for one in (copy.copy(Record("a")), copy.deepcopy(Record("a"))):
            self.assertEqual(one, Record("a"))
        self.assertEqual(pickle.loads(pickle.dumps(Record("a", 5))), Record("a", 5))
