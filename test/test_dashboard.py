"""
Tests for L{smtpsource.report.dashboard}: what is served, to whom, and within which bounds.
"""

from __future__ import annotations

import json
from dataclasses import replace

from dashboards import DashboardMixin, Shown, answered, eventsIn, second
from htmlpages import Page
from hypothesis import strategies as st
from properties import given
from results import EVERYTHING, example
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.measure.marks import Mark
from smtpsource.measure.recorder import Recorder
from smtpsource.measure.series import Series
from smtpsource.measure.step import stepOf
from smtpsource.measure.summary import bucketsOf, latenciesOf, repliesOf
from smtpsource.measure.timeline import Timeline, tableOf
from smtpsource.phases import MAIL
from smtpsource.report import pieces
from smtpsource.report.allowance import INTERVAL, Allowance
from smtpsource.report.dashboard import broadcast, history, marks
from smtpsource.report.dashboard.broadcast import MOST
from smtpsource.report.dashboard.history import COLUMNS, Bounded, History
from smtpsource.report.dashboard.marks import Marks
from smtpsource.report.dashboard.service import LAST
from smtpsource.report.dashboard.site import LONGEST_MARK, MOST_MARKS
from smtpsource.report.document import documentOf
from smtpsource.report.html import sections
from smtpsource.report.html.data import dataOf
from smtpsource.report.reading import summaryIn
from smtpsource.web.eventstream import QUIET

FORM = "application/x-www-form-urlencoded"


def kinds(events):
    return [kind for _, kind, _ in events]


def add(history, frame):
    return history.add(frame, Series().add(frame), stepOf(frame))


def refusing(frame, replies):
    """
    @return: the same second, with these replies to MAIL.
    """
    return replace(frame, replies=[replies if phase == MAIL else {} for phase, _ in enumerate(frame.replies)])


class HistoryTests(SynchronousTestCase):
    """
    What one who comes late is told.
    """

    @given(st.integers(1, 60), st.integers(1, 8))
    def test_bounded(self, number, pairs):
        """
        There are never more than there may be, nothing is lost, and all is in order.
        """
        kept = Bounded(2 * pairs, lambda one, other: one + other, lambda one: json.dumps(one).encode())
        for each in range(number):
            self.assertEqual(kept.add([each], b"[%d]" % each), b"[%d]" % each)
            self.assertLessEqual(len(kept.kept), 2 * pairs)
        self.assertEqual([each for one in kept.kept for each in one], list(range(number)))
        said = [one for piece in kept.pieces(3) for one in json.loads(piece)]
        self.assertEqual(said, kept.kept)

    def test_long(self):
        """
        Of a long run all messages and latencies are there, in fewer samples and steps.
        """
        self.patch(history, "MOST_SAMPLES", 8)
        self.patch(history, "MOST_STEPS", 4)
        told = History()
        for number in range(50):
            add(told, refusing(second(number, microseconds=(100, 1000 + number)), {"450": (10, "450 no")}))
        rows = [row for piece in told.samples.pieces(3) for row in json.loads(piece)]
        steps = [step for piece in told.steps.pieces(3) for step in json.loads(piece)]
        self.assertEqual((len(rows), len(steps)), (8, 4))
        rate, time = COLUMNS.index("rate"), COLUMNS.index("time")
        self.assertEqual({row[rate] for row in rows}, {10})
        self.assertEqual(rows[-1][time], 50)
        self.assertEqual(sum(step["phases"]["transaction"]["count"] for step in steps), 100)
        self.assertEqual(sum(step["replies"]["mail"]["450"] for step in steps), 500)
        self.assertEqual(sum(sum(step["phases"]["transaction"]["heat"][1::2]) for step in steps), 100)

    def test_manyKinds(self):
        """
        Of a second with very many kinds of replies and errors those are told that came most often.
        """
        told = History()
        kinds = {str(code): (code, "no") for code in range(400, 600)}
        _, step = add(told, replace(refusing(second(0), kinds), errors=kinds))
        most = {str(code): code for code in range(599, 599 - history.MOST_KINDS, -1)}
        found = json.loads(step)
        self.assertEqual(({"mail": most}, most), (found["replies"], found["errors"]))

    def test_warmUp(self):
        """
        What was before the end of a warm-up does not count.
        """
        told = History()
        add(told, second(0))
        add(told, second(0, epoch=1))
        self.assertEqual((told.epoch, len(told.samples.kept), len(told.steps.kept)), (1, 1, 1))


class StreamTests(DashboardMixin, SynchronousTestCase):
    """
    C{/events}.
    """

    def setUp(self):
        self.service = self.serve(Shown(example()))

    def watch(self, after=None):
        return self.ask("/events", Last_Event_ID=after)

    def told(self, transport):
        text = self.said(transport).decode()
        return eventsIn(text.partition("\r\n\r\n")[2] if text.startswith("HTTP") else text)

    def test_seconds(self):
        """
        Each second is told as it comes, with its number.
        """
        watching = self.watch()
        self.assertEqual(kinds(self.told(watching))[0], "reset")
        self.bring(second(0), second(1, accepted=25))
        frames = [event for event in self.told(watching) if event[1] == "frame"]
        self.assertEqual([identity for identity, _, _ in frames], ["0.0", "0.1"])
        self.assertEqual(frames[1][2]["row"][COLUMNS.index("rate")], 25)
        self.assertEqual(frames[1][2]["step"]["phases"]["transaction"]["count"], 2)

    def test_late(self):
        """
        One who comes late is told all that has been.
        """
        self.bring(*map(second, range(500)))
        told = self.told(self.watch())
        rows = [row for _, kind, data in told if kind == "history" for row in data["rows"]]
        steps = [step for _, kind, data in told if kind == "history" for step in data["steps"]]
        self.assertEqual([row[COLUMNS.index("time")] for row in rows], [step["time"] for step in steps])
        self.assertEqual(len(rows), 500)
        self.assertIn(("0.499", "known", None), told)

    def test_back(self):
        """
        One who comes back is told what they have missed, and nothing twice, however much that is: also where the
        connection takes but a part of it at once.
        """
        self.bring(*(second(number, microseconds=range(300, 900)) for number in range(620)))
        self.run_.marks.extend(Mark(float(number), f"mark {number}") for number in range(5000))
        self.bring(second(620))
        time = COLUMNS.index("time")
        for known in (620, 617, 320, 21):
            watching = self.watch(after=f"0.{known}")
            self.settle()
            self.assertFalse(watching.aborted)
            told = self.told(watching)
            rows = [row for _, kind, data in told if kind == "history" for row in data["rows"]]
            steps = [step for _, kind, data in told if kind == "history" for step in data["steps"]]
            self.assertEqual([row[time] for row in rows], [number + 1 for number in range(known + 1, 621)])
            self.assertEqual([step["time"] for step in steps], [row[time] for row in rows])
            self.assertIn(("0.620", "known", None), told)
            self.assertNotIn("reset", kinds(told))
            watching.abortConnection()
            self.settle()

    def test_backOtherwise(self):
        """
        So does one who says so in the address; and it is told when that was all, what stands on the page included.
        """
        self.bring(*map(second, range(10)))
        self.run_.mark("x")
        self.watch()
        self.settle()
        for after in ("0.3", "7.3"):
            told = self.told(self.ask(f"/events?after={after}"))
            self.assertEqual(told, self.told(self.watch(after)))
            self.assertEqual(told[-1], ("0.9", "known", None))
        self.assertEqual(self.told(self.ask("/events?after="))[0][1], "reset")

    def test_backAgain(self):
        """
        Where the connection breaks while that is told, the next one goes on from there.
        """
        self.bring(*map(second, range(100)))
        told = self.told(self.watch(after="0.9"))
        identity, _, _ = [event for event in told if event[1] == "history"][1]
        before = [row for _, kind, data in told[:2] for row in data["rows"]]
        after = [row for _, kind, data in self.told(self.watch(identity)) if kind == "history" for row in data["rows"]]
        time = COLUMNS.index("time")
        self.assertEqual([row[time] for row in before + after], list(range(11, 101)))

    def test_slowStart(self):
        """
        What was before one came does not count as what they do not read.
        """
        self.bring(*(second(number, microseconds=range(300, 900)) for number in range(700)))
        watching = self.watch()
        self.settle()
        self.assertTrue(watching.io.tell() < 1_000_000)
        for number in range(broadcast.MOST_WAITING - 20):
            self.bring(second(700 + number))
        self.assertFalse(watching.aborted)
        rows = [row for _, kind, data in self.told(watching) if kind == "history" for row in data["rows"]]
        self.assertEqual([row[COLUMNS.index("time")] for row in rows], list(range(1, 701)))

    def test_ownTurn(self):
        """
        The turn of the reactor in which a second is counted tells nobody of it: the next one does.
        """
        watching = self.watch()
        self.told(watching)
        self.run_.bring(second(0))
        self.assertEqual(watching.take(), b"")
        self.reactor.advance(0)
        self.assertIn(b"event: frame\n", watching.take())

    def test_unknown(self):
        """
        Who knows a second of another run, or of a warm-up, or says nonsense, is told everything.
        """
        self.bring(second(0), second(1), second(0, epoch=1))
        for after in ("0.1", "7.7", "x" * 100, "1"):
            told = self.told(self.watch(after))
            self.assertEqual(kinds(told)[0], "reset")
            self.assertEqual(sum(len(data["rows"]) for _, kind, data in told if kind == "history"), 1)

    def test_warmUpOver(self):
        """
        Those who watch are told when a warm-up is over: what they know does not count.
        """
        watching = self.watch()
        self.bring(second(0))
        self.told(watching)
        self.bring(second(0, epoch=1))
        self.assertEqual(kinds(self.told(watching))[:2], ["reset", "frame"])

    def states(self, transport):
        """
        @return: what one who watches is told of the state.
        """
        return [(data["state"], data["startsIn"]) for _, kind, data in self.told(transport) if kind == "state"]

    def test_state(self):
        """
        What the run does is told: to one who comes, and when it has changed, also before there are seconds.
        """
        self.run_.state = "starting"
        watching = self.watch()
        self.assertEqual(self.states(watching), [("starting", None)])
        for startsIn, told in ((31.5, 40), (30.5, 40), (29.5, 30), (9.5, 10), (8.5, 9)):
            self.run_.state, self.run_.startsIn = "waiting", startsIn
            self.assertEqual(self.states(self.watch())[-1], ("waiting", told))
        self.states(watching)
        self.run_.startsIn = 2.5
        self.reactor.advance(1)
        self.assertEqual(self.states(watching), [("waiting", 3)])
        self.run_.startsIn = None
        for state, number, epoch in (("warm-up", 0, 0), ("warm-up", 1, 0), ("running", 0, 1)):
            self.run_.state = state
            self.bring(second(number, epoch=epoch))
        self.assertEqual(self.states(watching), [("warm-up", None), ("running", None)])
        self.assertEqual(self.states(self.watch()), [("running", None)])

    def test_stateUnwatched(self):
        """
        When nobody looks any more nothing is done for it.
        """
        self.run_.state = "waiting"
        watching = self.watch()
        self.told(watching)
        watching.abortConnection()
        self.settle()
        self.pass_(20)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_quiet(self):
        """
        Where nothing happens there are signs of life.
        """
        watching = self.watch()
        self.told(watching)
        self.pass_(QUIET)
        self.assertIn(b":\n\n", watching.take())

    def test_neverReads(self):
        """
        One who does not read is dropped, and what waits for them is in bounds; others go on.
        """
        slow, good = self.watch(), self.watch()
        self.told(good)
        self.settle()
        slow.producer.pauseProducing()
        for number in range(broadcast.MOST_WAITING + 2):
            self.bring(second(number))
            self.told(good)
        self.assertTrue(slow.aborted)
        self.bring(second(broadcast.MOST_WAITING + 2))
        self.assertIn("frame", kinds(self.told(good)))

    def test_tooMany(self):
        """
        There are at most so many; when one goes, another may come.
        """
        all_ = [self.watch() for _ in range(MOST)]
        status, _, _ = self.answer("/events")
        self.assertEqual(status, 503)
        all_[0].abortConnection()
        self.settle()
        self.assertEqual(kinds(self.told(self.watch()))[0], "reset")

    def test_sections(self):
        """
        What stands on the page is made while somebody watches, once for all of them, and told when it has changed.
        """
        self.bring(second(0))
        self.settle()
        first, other = self.watch(), self.watch()
        for watching in (first, other):
            told = self.told(watching)
            sections = [data["html"] for _, kind, data in told if kind == "section"]
            self.assertTrue(any('id="verdict"' in html for html in sections), sections)
            self.assertIn("charts", kinds(told))
        self.pass_(60)
        self.bring(second(1))
        self.assertNotIn("section", kinds(self.told(first)))
        self.run_.summary = example(exit=0, rate=77.0)
        self.pass_(60)
        self.bring(second(2))
        changed = [data["html"] for _, kind, data in self.told(first) if kind == "section"]
        self.assertTrue(any("77.0/s" in html for html in changed), changed)

    def sections(self, name):
        """
        @return: what is told of a section to one who comes now.
        """
        told = [data["html"] for _, kind, data in self.told(self.watch()) if kind == "section"]
        return next((html for html in reversed(told) if f'id="{name}"' in html), "")

    def test_figures(self):
        """
        Of what was watched the first, the last and the highest are those of the whole run, and what is gone stays.
        """
        values = (3.0, 9.0, 7.0, 5.0)
        seconds = [second(number, watched={"queue": value}) for number, value in enumerate(values)]
        seconds[1] = second(1, watched={"queue": 9.0, "gone": 4.0})
        self.run_.bring(second(0, epoch=-1, watched={"queue": 99.0}), *seconds)
        series = Series()
        for each in seconds:
            series.add(each)
        document = documentOf(replace(self.run_.summary, series=series.samples))
        (expected,) = [html for html in sections.after([document], ["run"]) if 'id="watched"' in html]
        self.assertEqual(self.sections("watched"), expected)
        self.assertIn(expected, self.answer("/")[2])

    def test_manyFigures(self):
        """
        Of very many figures that are watched a page has as many as it has charts for, and is told of no others: it
        would take those for new ones, and ask for the page again, for ever.
        """
        watched = {f"figure {number}": float(number) for number in range(1000)}
        self.bring(*(second(number, watched=watched) for number in range(3)))
        known = Page(self.answer("/")[2]).data["runs"][0]["watched"]
        self.assertEqual(sorted([*watched][:96]), known)
        rows = [row for _, kind, data in self.told(self.watch()) if kind == "history" for row in data["rows"]]
        self.assertEqual([set(known)] * 3, [set(row[-1]) for row in rows])
        shown = [label for _, labels in self.charts() for label in labels if label in watched]
        self.assertEqual(known, sorted(shown))

    def charts(self):
        """
        @return: which charts one who comes now is told of.
        """
        *_, told = [data for _, kind, data in self.told(self.watch()) if kind == "charts"]
        return [(chart["id"], [line["label"] for line in chart["lines"]]) for chart in told]

    def test_charts(self):
        """
        The charts are those that a page of the same run would have: none of what has never been. Once something has
        been, it stays.
        """
        quiet = [second(number) for number in range(3)]
        bad = second(3, watched={"queue": 1.0})
        bad = replace(bad, counters=replace(bad.counters, accepted=8, rejected=2), asked=12.0)
        series, timeline, recorder = Series(), Timeline(), Recorder()
        for number, some in enumerate((quiet, [bad], [second(4)])):
            for each in some:
                series.add(each)
                timeline.add(each)
                each.addTo(recorder)
            summary = self.run_.summary = example(
                latency=latenciesOf(recorder), buckets=bucketsOf(recorder), replies=repliesOf(recorder), errors={}
            )
            self.run_.bring(*some)
            self.pass_(60)
            found = self.charts()
            document = documentOf(replace(summary, series=series.samples, timeline=tableOf(timeline.steps)))
            expected = dataOf([document], ["run"])["charts"]
            self.assertEqual(found, [(one["id"], [line["label"] for line in one["lines"]]) for one in expected])
            self.assertEqual("refused" in dict(found), number > 0)

    def test_unwatched(self):
        """
        While nobody watches, nothing is asked of the run but its seconds.
        """
        self.bring(second(0))
        self.settle()
        self.assertEqual(self.run_.asked, 0)

    def test_faults(self):
        """
        What goes wrong here is told in one line, and neither ends the run nor is logged as a failure, which would.
        """
        told = []
        globalLogPublisher.addObserver(told.append)
        self.addCleanup(globalLogPublisher.removeObserver, told.append)
        self.run_.summary = None
        watching = self.watch()
        self.told(watching)
        self.bring(second(0))
        self.assertIn("frame", kinds(self.told(watching)))
        self.patch(self.run_, "progress", lambda: 1 / 0)
        self.bring(second(1))
        self.assertEqual(self.answer("/")[0], 500)
        faults = [event for event in told if "fault" in event]
        self.assertEqual(len(faults), 3)
        self.assertFalse([event for event in told if "log_failure" in event])

    def test_over(self):
        """
        The end is told to all who watch, those who come later included; then they are sent away.
        """
        watching, late = self.watch(), None
        self.run_.bring(second(0))
        self.run_.done.callback(self.run_.summary)
        told = self.told(watching)
        self.assertIn("frame", kinds(told))
        self.assertEqual(told[-1][1:], ("over", {"exit": 1, "ended": "done", "reason": None}))
        late = self.watch()
        self.assertEqual(kinds(self.told(late))[-1], "over")
        left = self.service.leave()
        self.settle()
        self.successResultOf(left)
        self.assertFalse(watching.connected)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_leaveSlow(self):
        """
        One who does not read holds up no end for long.
        """
        watching = self.watch()
        self.settle()
        watching.producer.pauseProducing()
        self.run_.done.callback(self.run_.summary)
        left = self.service.leave()
        self.pass_(LAST * 0.9)
        self.assertNoResult(left)
        self.pass_(LAST * 0.2)
        self.assertTrue(watching.aborted)
        self.successResultOf(left)


class AllowanceTests(SynchronousTestCase):
    """
    How often something is made.
    """

    def setUp(self):
        self.reactor, self.cpu = Clock(), 0.0
        self.allowance = Allowance(self.reactor.seconds, 0.01, lambda: self.cpu)

    def spend(self, seconds):
        with self.allowance.spend():
            self.cpu += seconds

    def dueIn(self):
        """
        @return: how many seconds later it may be made anew.
        """
        passed = 0
        while not self.allowance.isDue:
            self.reactor.advance(0.5)
            passed += 0.5
        return passed

    def test_share(self):
        """
        It comes every two seconds where it takes little, and less often where it takes more: also where that is spent
        late.
        """
        self.assertTrue(self.allowance.isDue)
        for parts, wait in (((), INTERVAL), ((0.001, 0.001), INTERVAL), ((0.03, 0.01), 4.0)):
            self.allowance.begin()
            for seconds in parts:
                self.spend(seconds)
            self.assertAlmostEqual(self.dueIn(), wait, delta=0.5)
        self.reactor.advance(100)
        self.spend(0.1)
        self.assertAlmostEqual(self.dueIn(), 10.0, delta=0.5)

    def test_fails(self):
        """
        What fails has taken its time as well.
        """
        with self.assertRaises(ZeroDivisionError), self.allowance.spend():
            self.cpu += 1.0
            1 / 0  # noqa: B018
        self.assertAlmostEqual(self.dueIn(), 100.0, delta=0.5)


class SiteTests(DashboardMixin, SynchronousTestCase):
    """
    Everything else that is served.
    """

    def setUp(self):
        self.serve(Shown(example(**EVERYTHING)))

    def test_page(self):
        """
        The page has what the HTML report has, and nothing on it may come from elsewhere.
        """
        status, head, body = self.answer("/")
        self.assertEqual(status, 200)
        self.assertIn("content-security-policy: default-src 'none'; script-src 'self'", head)
        self.assertIn("frame-ancestors 'none'", head)
        self.assertIn("x-content-type-options: nosniff", head)
        self.assertIn('id="verdict"', body)
        self.assertIn('data-chart="heat"', body)
        self.assertNotIn("<style", body)
        for path, kind in (
            ("/page.js", "text/javascript"),
            ("/events.js", "text/javascript"),
            ("/live.js", "text/javascript"),
            ("/page.css", "text/css"),
            ("/live.css", "text/css"),
        ):
            self.assertIn(f'"{path[1:]}"', body)
            status, head, _ = self.answer(path)
            self.assertEqual(status, 200)
            self.assertIn(f"content-type: {kind}", head)

    def test_hostile(self):
        """
        What a server or a user has said is no HTML.
        """
        evil = "</script><script>alert(1)</script><!--"
        self.serve(Shown(example(errors={evil: example().errors["timeout"]}, command=("x", evil))))
        self.run_.mark(evil)
        self.bring(second(0))
        _, _, page = self.answer("/")
        self.assertNotIn("<script>alert", page)
        for _, kind, data in eventsIn(self.answer("/events")[2]):
            if kind in ("section", "header"):
                self.assertNotIn("<script>alert", data["html"])

    def test_report(self):
        """
        The report so far is a report.
        """
        self.run_.summary = example(**EVERYTHING)
        self.run_.marks.append(self.run_.mark("x"))
        status, head, body = self.answer("/report.json")
        self.assertEqual(status, 200)
        self.assertIn("content-type: application/json", head)
        summary = summaryIn(body)
        self.assertEqual(summary.messages, self.run_.summary.messages)
        self.assertEqual(summary.latency, self.run_.summary.latency)
        self.assertEqual(
            {k: list(v) for k, v in summary.buckets.items()}, {k: list(v) for k, v in self.run_.summary.buckets.items()}
        )
        self.assertEqual(len(summary.series), len(self.run_.summary.series))

    def test_asks(self):
        """
        However often the page and the report are asked for, they are made once in a while, and once for all who read
        them at the same time; when the run is over they are those of its end.
        """
        for path in ("/", "/report.json"):
            with self.subTest(path=path):
                self.run_.asked = 0
                first, other = self.ask(path), self.ask(path)
                self.assertEqual(answered(self.said(first))[2], answered(self.said(other))[2])
                whole = self.answer(path)
                for _ in range(20):
                    self.assertEqual(self.answer(path)[2], whole[2])
                self.assertEqual(self.run_.asked, 1)
                self.pass_(3600)
                self.assertEqual(self.answer(path)[2], whole[2])
                self.assertEqual(self.run_.asked, 2)
        self.run_.summary = example(exit=0, rate=77.0)
        self.run_.done.callback(self.run_.summary)
        self.assertIn("77.0/s", self.answer("/")[2])
        self.assertEqual(summaryIn(self.answer("/report.json")[2]).exit, 0)

    def test_brokenPage(self):
        """
        What could not be made is not kept.
        """
        whole, self.run_.summary = self.run_.summary, None
        for _ in range(2):
            self.assertEqual(self.answer("/")[0], 500)
        self.run_.summary = whole
        self.assertIn('id="verdict"', self.answer("/")[2])

    def test_slowReader(self):
        """
        One who asks for the report and does not read it holds up nobody else who does.
        """
        self.patch(pieces, "_AT_ONCE", 1)
        slow = self.ask("/report.json")
        slow.producer.pauseProducing()
        status, _, body = self.answer("/report.json")
        self.assertEqual((status, summaryIn(body).messages), (200, self.run_.summary.messages))
        slow.producer.resumeProducing()
        self.assertEqual(answered(self.said(slow))[2], body)

    def test_unfinishedReport(self):
        """
        Latencies that nobody has put together yet are put together for it, with the percentiles that were asked for.
        """
        whole = example(**EVERYTHING)
        self.run_.summary = example(**{**EVERYTHING, "latency": {}, "percentiles": (50, 75.5)})
        _, _, body = self.answer("/report.json")
        document = json.loads(body)
        self.assertEqual(summaryIn(body).latency, whole.latency)
        self.assertIn("p75.5", document["latency"]["message"])

    def test_nothing(self):
        """
        What is not there, or is not done, is told in one line.
        """
        for path, method, status in (("/x", "GET", 404), ("/mark", "GET", 405), ("/", "DELETE", 405)):
            found, _, body = self.answer(path, method)
            self.assertEqual(found, status)
            self.assertIn("expected", json.loads(body)["detail"])

    def test_head(self):
        """
        HEAD is answered with no body, a stream as well.
        """
        for path in ("/", "/events", "/report.json", "/frames"):
            transport = self.ask(path, "HEAD")
            status, _, body = answered(self.said(transport))
            self.settle()
            self.assertEqual((path, status, body), (path, 200, ""))
            self.assertFalse(transport.connected)

    def test_host(self):
        """
        A name that was made to lead here is none of ours.
        """
        for host in ("evil.example", "evil.example:8089", "localhost.evil.example"):
            self.assertEqual(self.answer("/events", Host=host)[0], 421)
        for host in ("localhost:8089", "127.0.0.1", "[::1]:8089"):
            self.assertEqual(self.answer("/", Host=host)[0], 200)


class MarkTests(DashboardMixin, SynchronousTestCase):
    """
    C{POST /mark}.
    """

    def setUp(self):
        self.serve(Shown(example()))

    def post(self, body, kind=FORM, **headers):
        return self.answer("/mark", "POST", body, Content_Type=kind, **headers)

    def test_mark(self):
        """
        A form, JSON or plain text marks the moment, and all who watch are told.
        """
        watching = self.ask("/events")
        for body, kind in (
            ("text=restarted+%C3%BC", FORM),
            ('{"text": "restarted ü"}', "application/json"),
            ('"restarted ü"', "application/json"),
            ("restarted ü\n", "text/plain; charset=utf-8"),
            (" restarted\tü ", None),
        ):
            status, _, answer = self.post(body, kind)
            self.assertEqual((status, json.loads(answer)), (201, {"at": 1.5, "text": "restarted ü"}))
        self.assertEqual({mark.text for mark in self.run_.marks}, {"restarted ü"})
        events = [data for _, kind, data in eventsIn(answered(self.said(watching))[2]) if kind == "marks"]
        self.assertEqual([(each["from"], len(each["marks"])) for each in events], [(place, 1) for place in range(5)])

    @given(st.lists(st.tuples(st.sampled_from(["add", "insert", "text", "output", "none"]), st.integers(0, 9))))
    def test_changes(self, changes):
        """
        What is told of marks is what is another, and adds up to what there is, without what commands have written.
        """
        told, those, known = Marks(), [], []
        for number, (change, place) in enumerate(changes):
            if change == "add" or not those:
                those.append(Mark(float(number), f"{number}"))
            elif change == "insert":
                those.insert(len(those) - place % len(those), Mark(0.5, f"{number}", "event"))
            elif change != "none":
                place %= len(those)
                those[place] = replace(those[place], **{change: f"other {number}"})
            events = [json.loads(event) for event in told.renew(those)]
            self.assertEqual(bool(events), known != [mark.text for mark in those])
            for event in events:
                known[event["from"] :] = [mark["text"] for mark in event["marks"]]
            self.assertEqual(known, [mark.text for mark in those])

    def test_unchanged(self):
        """
        Marks that are as they were are neither told nor written again; one who comes late is told all of them.
        """
        self.run_.marks.extend(Mark(float(number), f"{number}", "command", output="x" * 2048) for number in range(3000))
        watching = self.ask("/events")
        self.bring(second(0))
        self.said(watching)
        self.patch(marks, "_written", lambda mark: self.fail("once is enough"))
        self.bring(second(1))
        self.assertNotIn(b"event: marks", self.said(watching))
        events = [data for _, kind, data in eventsIn(self.answer("/events")[2]) if kind == "marks"]
        self.assertEqual([mark["text"] for data in events for mark in data["marks"]], list(map(str, range(3000))))
        self.assertTrue(all("output" not in mark for data in events for mark in data["marks"]))

    def test_warmUpOver(self):
        """
        When a warm-up is over, and all is forgotten, the marks are told again.
        """
        watching = self.ask("/events")
        self.run_.mark("x")
        self.bring(second(0))
        self.said(watching)
        self.bring(second(0, epoch=1))
        events = eventsIn(self.said(watching).decode())
        self.assertEqual([kind for _, kind, _ in events][:3], ["reset", "marks", "frame"])

    def test_many(self):
        """
        Of many marks the last ones stand on the page, with their numbers; the report has all.
        """
        marked = tuple(Mark(float(number), f"mark {number}") for number in range(1, 1001))
        self.run_.summary = example(marks=marked)
        _, _, page = self.answer("/")
        self.assertIn("The first 950 are not told here", page)
        self.assertNotIn("mark 950<", page)
        self.assertIn("mark 951<", page)
        self.assertIn(">951<", page)
        self.assertEqual(summaryIn(self.answer("/report.json")[2]).marks, marked)

    def test_unusable(self):
        """
        What is no text, or too long, is refused in one line, and marks nothing.
        """
        for body, kind, status in (
            ("text=", FORM, 400),
            ("other=x", FORM, 400),
            ("text=" + "x" * (LONGEST_MARK + 1), FORM, 400),
            ("text=%ff", FORM, 400),
            ("{", "application/json", 400),
            ("[" * 5000, "application/json", 400),
            ("{}", "application/json", 400),
            ("x", "image/png", 415),
            ("x" * 8193, "text/plain", 413),
        ):
            found, _, answer = self.post(body, kind)
            self.assertEqual((body[:20], found), (body[:20], status))
            self.assertNotIn("\n", json.loads(answer)["detail"])
        self.assertEqual(self.run_.marks, [])
        self.assertEqual(self.post("text=" + "x" * LONGEST_MARK)[0], 201)

    def test_noForm(self):
        """
        What curl -d calls a form without making it one is the text; a form without a text is told what it lacks.
        """
        status, _, answer = self.post("50% of it + the rest", FORM)
        self.assertEqual((status, json.loads(answer)["text"]), (201, "50% of it + the rest"))
        status, _, answer = self.post("other=x", FORM)
        self.assertEqual(
            (status, json.loads(answer)["detail"]), (400, "the body is not usable: expected text=... in the form")
        )

    def test_controls(self):
        """
        What can't be seen, or turns what can, is shown as what it is.
        """
        self.post('{"text": "a\\u0000b\\u202ec\\nd"}', "application/json")
        (mark,) = self.run_.marks
        self.assertTrue(mark.text.isprintable(), mark.text)

    def test_tooMany(self):
        """
        There is an end to it; commands and events, of which there may be more, don't count.
        """
        self.run_.marks.extend([Mark(0.5, "x", "command"), Mark(0.5, "x", "event")] * MOST_MARKS)
        self.run_.marks.extend([Mark(0.5, "x")] * (MOST_MARKS - 1))
        self.assertEqual(self.post("text=x")[0], 201)
        self.assertEqual(self.post("text=x")[0], 429)

    def test_over(self):
        """
        When the run is over nothing is marked any more.
        """
        self.run_.done.callback(self.run_.summary)
        status, _, answer = self.post("text=x")
        self.assertEqual((status, json.loads(answer)["detail"]), (409, "the run is over"))
        self.assertEqual(self.run_.marks, [])

    def test_otherSites(self):
        """
        No page of somebody else's can do it, whatever its browser says of it.
        """
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:8090"},
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
        ):
            self.assertEqual(self.post("text=x", **headers)[0], 403)
        self.assertEqual(self.run_.marks, [])
        self.assertEqual(self.post("text=x", Origin="http://127.0.0.1:8089", Sec_Fetch_Site="same-origin")[0], 201)


class TokenTests(DashboardMixin, SynchronousTestCase):
    """
    Where others can come to.
    """

    def setUp(self):
        self.service = self.serve(Shown(example()), host="0.0.0.0")
        _, _, self.token = self.service.url.partition("?token=")

    def test_needed(self):
        """
        Nothing is told without it.
        """
        self.assertGreaterEqual(len(self.token), 20)
        for path in ("/", "/events", "/frames", "/report.json", "/page.js", "/nothing"):
            for headers in ({}, {"Authorization": "Bearer x"}, {"Cookie": "smtpsource-8089=x"}, {"Cookie": '";;=\\"'}):
                status, _, body = self.answer(path, **headers)
                self.assertEqual(status, 401)
                self.assertNotIn(self.token, body)
        self.assertEqual(self.answer("/mark", "POST", "text=x", Content_Type=FORM)[0], 401)
        self.assertEqual(self.answer("/?token=" + self.token[:-1])[0], 401)

    def test_cookie(self):
        """
        With the address that was shown a browser has it in a cookie from then on, and the address has it no more. The
        cookie comes along when a link elsewhere is followed, as when the browser is led on from there; no page of
        another site can do anything with it.
        """
        status, head, _ = self.answer(f"/?token={self.token}")
        self.assertEqual(status, 303)
        self.assertIn("\r\nlocation: /\r\n", head + "\r\n")
        cookie = next(line for line in head.split("\r\n") if line.startswith("set-cookie"))
        self.assertIn("httponly; samesite=lax", cookie)
        given = {"Cookie": f"other=1; smtpsource-8089={self.token}"}
        self.assertEqual(self.answer("/", **given)[0], 200)
        self.assertEqual(self.answer("/mark", "POST", "text=x", Content_Type=FORM, **given)[0], 201)
        elsewhere = {"Origin": "http://evil.example", "Sec_Fetch_Site": "cross-site"}
        for name, value in elsewhere.items():
            found = self.answer("/mark", "POST", "text=x", Content_Type=FORM, **given, **{name: value})
            self.assertEqual(found[0], 403)
        elsewhere = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
        self.assertEqual(self.answer("/", **elsewhere, **given)[0], 200)
        self.assertEqual(self.answer("/report.json", **elsewhere, **given)[0], 403)
        # Others that have set cookies here may have written what they like.
        for others in ('prefs={"a":1}', "theme=dark mode", "flag", "a,b=1", "\xff=\xff"):
            given = {"Cookie": f"{others}; smtpsource-8089={self.token}"}
            self.assertEqual(self.answer("/", **given)[0], 200, others)

    def test_otherSites(self):
        """
        No page of another site takes the time of the run, as an image of it may ask for anything.
        """
        for site in ("cross-site", "same-site"):
            for path in ("/", "/events", "/frames", "/report.json", "/page.js"):
                found = self.answer(
                    path, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors", Authorization=f"Bearer {self.token}"
                )
                self.assertEqual(found[0], 403, path)

    def test_command(self):
        """
        A command gives it in a header, or in the address.
        """
        self.assertEqual(self.answer("/report.json", Authorization=f"Bearer {self.token}")[0], 200)
        self.assertEqual(self.answer(f"/report.json?token={self.token}")[0], 200)

    def test_local(self):
        """
        Where nobody else can come to there is none.
        """
        for host in ("127.0.0.1", "localhost", "::1"):
            self.assertNotIn("token", self.serve(Shown(example()), host=host).url)
