"""
Tests for L{smtpsource.report.document}: the table of the report's fields.
"""

from __future__ import annotations

import dataclasses

from results import EVERYTHING, example
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.judgement import Judgement
from smtpsource.measure.search import Step
from smtpsource.measure.series import Sample
from smtpsource.measure.summary import Messages, Summary, Tally
from smtpsource.measure.thresholds import Outcome
from smtpsource.report.document import COUNT, FIELDS, FIGURES, SCHEMA, documentOf
from smtpsource.report.schema import reportSchema


def leaves(schema, paths, path=""):
    """
    @return: of each of these places in a schema, and of those beside them: does it have to be there, and what it is.
    """
    found = {}
    for name, inner in schema["properties"].items():
        place = f"{path}.{name}" if path else name
        if any(one.startswith(f"{place}.") for one in paths):
            found |= leaves(inner, paths, place)
        else:
            found[place] = name in schema["required"], inner
    return found


class TableTests(SynchronousTestCase):
    """
    The table, beside the schema and the summary.
    """

    def setUp(self):
        self.schema = reportSchema()
        self.leaves = leaves(self.schema, [field.path for field in FIELDS])

    def test_schema(self):
        """
        The schema has the fields of the table, and no others.
        """
        self.assertEqual(self.schema["properties"]["schema"], {"const": SCHEMA})
        self.assertEqual(sorted({field.path for field in FIELDS} | {"schema", "tool"}), sorted(self.leaves))

    def test_counts(self):
        """
        What is counted is a whole number there.
        """
        for field in FIELDS:
            if field.form is COUNT:
                self.assertEqual(self.leaves[field.path][1], {"$ref": "#/$defs/count"}, field.path)

    def test_required(self):
        """
        What a report has to have is what a summary has to have: only that can't be left out of an early one.
        """
        required = {each.name for each in dataclasses.fields(Messages)}
        for each in dataclasses.fields(Summary):
            if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
                required.add(each.name)
        for field in FIELDS:
            self.assertIs(self.leaves[field.path][0], (field.name or field.path) in required, field.path)

    def test_inner(self):
        """
        So it is with what stands in lists and objects.
        """
        properties, tallies = self.schema["properties"], self.schema["$defs"]["tallies"]
        for kind, schema in (
            (Outcome, properties["thresholds"]["items"]),
            (Step, properties["search"]["properties"]["steps"]["items"]),
            (Sample, properties["series"]["items"]),
            (Tally, tallies["additionalProperties"]),
            (Judgement, properties["ledger"]),
        ):
            names = ["ghost" if each.name == "ghosts" else each.name for each in dataclasses.fields(kind)]
            others = ["buckets", "anomalyCount", "earlyBy"]  # elsewhere in a report, and only there
            self.assertEqual(
                [name for name in names if name not in others],
                [name for name in schema["properties"] if name not in others],
            )
            required = [
                each.name
                for each in dataclasses.fields(kind)
                if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
            ]
            self.assertEqual(required, schema["required"])
        # Reports of earlier versions have no p95.
        required = properties["latency"]["additionalProperties"]["required"]
        self.assertEqual([name for name in FIGURES if name != "p95"], required)

    def test_order(self):
        """
        Fields are written in the order of the table, but for those that are left out.
        """
        written = list(documentOf(example(**EVERYTHING)))
        table = dict.fromkeys(field.path.partition(".")[0] for field in FIELDS)
        self.assertEqual(written, ["schema", "tool", *(name for name in table if name in written)])
        self.assertLessEqual({field.path.partition(".")[0] for field in FIELDS if not field.optional}, set(written))
