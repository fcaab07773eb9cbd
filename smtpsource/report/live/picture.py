"""
A run as one line, and as a picture of several.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from textwrap import wrap

from rich.text import Text

from smtpsource.measure.histogram import nameOf
from smtpsource.measure.judgement import Delivered
from smtpsource.measure.progress import CATCHING_UP, Awaited
from smtpsource.measure.search import Searching, Step
from smtpsource.phases import DELIVERY, NAMES
from smtpsource.report.live.figures import HISTORY, RECENT, Course, Kind, Latencies
from smtpsource.report.words import NOUNS, duration, several

# The parts of a bar, and heights; where there is no Unicode, ASCII.
_BAR = {True: ("━", "─"), False: ("#", "-")}
_HEIGHTS = {True: "▁▂▃▄▅▆▇█", False: "_.-=+*#@"}

_LABEL = 11
_NAME = 18
_PHASE = 11
_WIDTH = 8
_LONGEST_BAR = 40
_LEAST_KINDS = 2


def line(course: Course) -> str:
    """
    A run as one line.
    """
    progress = course.progress
    left = course.left() if progress.state == CATCHING_UP else None
    state = progress.state + ("" if left is None else f", {_clock(ceil(left))} left")
    if progress.startsIn is not None:
        state += f", begins in {_clock(ceil(progress.startsIn))}"
    if progress.search is not None:
        state += f", {_searching(progress.search)}"
    parts = [f"{_clock(progress.at)} {state}", ", ".join(_rates(course)), ", ".join(_plain(_outcomes(course)))]
    parts.append(", ".join(_plain(_present(course))))
    if progress.delivered is not None:
        parts.append(", ".join(_plain(_delivered(course, progress.delivered))))
    if progress.awaited is not None:
        parts.append("waiting " + ", ".join(_plain(_awaited(progress.awaited))))
    for number, latencies in enumerate(course.latencies()):
        if latencies.recent is not None and (number == 0 or latencies.name == NAMES[DELIVERY]):
            times = zip(_headings(latencies), latencies.recent, strict=True)
            figures = ", ".join(f"{name} {duration(seconds)}" for name, seconds in times)
            parts.append(f"{latencies.name} {figures} in the last {RECENT:.0f} s")
    return "; ".join(parts)


def picture(course: Course, width: int, height: int, unicode: bool = True) -> Iterator[Text]:
    """
    A run in lines.

    @param width: how many columns there are: lines may be longer, their ends are not seen.
    @param height: how many lines there may be at most.
    @param unicode: may there be other characters than those of ASCII?
    """
    delivered, awaited = course.progress.delivered, course.progress.awaited
    lines = [
        _course(course, width, unicode),
        *(text for hint in course.progress.hints for text in _wrapped("hint", hint, "yellow", width)),
        *_search(course.progress.search, width),
        *_filled("rate", ((rate, "") for rate in _rates(course)), width),
        *_sparkline(course, width, unicode),
        *_filled(NOUNS[course.progress.exercise][1], _outcomes(course), width),
        *_filled("now", _present(course), width),
        *(_filled("delivered", _delivered(course, delivered), width) if delivered is not None else ()),
        *(_filled("waiting", _awaited(awaited), width) if awaited is not None else ()),
        *_latencies(course, width),
    ]
    yield from lines[:height]
    refusals, errors = course.refusals(), course.errors()
    room = height - len(lines)
    # Whatever there is more of may have the room that the other does not need.
    half = max(room // 2, room - 1 - len(errors)) if errors else room
    refused = list(_kinds("refused", refusals, "yellow", half))
    yield from refused
    yield from _kinds("errors", errors, "red", room - len(refused))


def _searching(search: Searching) -> str:
    """
    How far a search for a rate has come.
    """
    if search.rate is None:
        return "the search is over"
    left = "" if search.secondsLeft is None else f", about {_clock(ceil(search.secondsLeft))} left"
    return f"step {search.number}{left}: {search.rate:g}/s ({search.purpose}), {_bounds(search)}"


def _bounds(search: Searching) -> str:
    parts = [] if search.low is None else [f"{search.low:g}/s kept it"]
    parts += [] if search.high is None else [f"{search.high:g}/s did not"]
    return ", ".join(parts) or "nothing is known yet"


def stepLine(number: int, step: Step) -> str:
    """
    A step of a search that was tried, as one line.
    """
    return f"step {number} ({step.purpose}): {step.rate:g}/s {'kept it' if step.passed else 'did not'}: {step.actual}"


def _search(search: Searching | None, width: int) -> Iterator[Text]:
    """
    The step that is tried, and the last one that was.
    """
    if search is None:
        return
    yield from _wrapped("search", _searching(search), "", width)
    if search.steps:
        last = search.steps[-1]
        yield from _wrapped("", stepLine(len(search.steps), last), "green" if last.passed else "yellow", width)


def _wrapped(label: str, text: str, style: str, width: int) -> Iterator[Text]:
    """
    A text in as many lines as it takes.
    """
    for number, part in enumerate(wrap(text, max(1, width - _LABEL), break_on_hyphens=False)):
        yield _label("" if number else label).append(part, style)


def _course(course: Course, width: int, unicode: bool) -> Text:
    """
    How far it has come.
    """
    text = _label(course.progress.state, "bold")
    startsIn = course.progress.startsIn
    if startsIn is not None:
        return text.append(f"{_clock(ceil(startsIn))} until it begins")
    done, left = course.done(), course.left()
    times = _clock(course.progress.at) + ("" if left is None else f", {_clock(ceil(left))} left")
    if done is None:
        return text.append(times)
    columns = max(10, min(_LONGEST_BAR, width - _LABEL - 26))
    full = int(done * columns)
    heavy, light = _BAR[unicode]
    text.append(heavy * full, "green").append(light * (columns - full), "dim")
    return text.append(f" {int(done * 100):3} %", "bold").append(f"  {times}")


def _rates(course: Course) -> Iterator[str]:
    asked = course.progress.askedRate
    yield f"{_rate(course.rate())} accepted"
    if asked is not None:
        yield f"{_rate(asked)} asked"
    if course.progress.search is None:  # the mean of many rates says nothing
        yield f"{_rate(course.meanRate())} so far"


def _rate(rate: float) -> str:
    return f"{rate:.{0 if rate >= 99.95 else 1}f}/s"


def _sparkline(course: Course, width: int, unicode: bool) -> Iterator[Text]:
    """
    The rate of each of the last seconds, as heights; the highest is that of the highest rate.
    """
    heights = _HEIGHTS[unicode]
    rates = list(course.rates)[-max(1, min(HISTORY, width - _LABEL)) :]
    if not rates:
        return
    most = max(rates) or 1.0
    steps = (min(len(heights) - 1, int(rate / most * len(heights))) for rate in rates)
    yield _label("").append("".join(heights[step] for step in steps), "cyan")


def _outcomes(course: Course) -> Iterator[tuple[str, str]]:
    recorder = course.recorder
    yield f"{recorder.started} started", ""
    yield f"{recorder.accepted} accepted", ""
    yield f"{recorder.rejected} rejected", "yellow" if recorder.rejected else ""
    yield f"{recorder.failed} failed", "red" if recorder.failed else ""
    if course.progress.asked is not None:
        yield f"{recorder.late} late", "yellow" if recorder.late else ""
        yield f"{recorder.dropped} dropped", "red" if recorder.dropped else ""
    if course.progress.overdue:
        yield f"{course.progress.overdue} overdue", "yellow"


def _present(course: Course) -> Iterator[tuple[str, str]]:
    recorder = course.recorder
    yield several(recorder.open, "connection", "connections"), ""
    yield several(course.progress.sessions, "session", "sessions"), ""
    yield f"{course.onTheirWay} on their way", ""
    if recorder.connectionsLost or recorder.connectionsFailed:
        yield f"{recorder.connectionsLost} lost, {recorder.connectionsFailed} not made", "red"


def _delivered(course: Course, delivered: Delivered) -> Iterator[tuple[str, str]]:
    """
    What has come where the server delivers to.
    """
    yield f"{delivered.here} arrived", ""
    yield _rate(course.arrivalRate()), ""
    yield f"{delivered.backlog} to come", ""
    yield f"{delivered.peak} at most", ""


def _awaited(awaited: Awaited) -> Iterator[tuple[str, str]]:
    """
    What is waited for, and what will end that.
    """
    yield f"for {awaited.missing or 'what may come twice'}", ""
    yield f"silent for {awaited.silent:.0f} s", ""
    if awaited.missing:
        yield f"over after {awaited.enough:g} s of silence (--drain-quiet)", ""
        yield f"in {_clock(ceil(awaited.left))} at the latest (--drain-timeout)", ""
    else:
        yield f"over after {awaited.enough:g} s of silence", ""


def _latencies(course: Course, width: int) -> Iterator[Text]:
    """
    A table; where there is no room for all of its columns, others below.
    """
    shown = course.latencies()
    if not shown:
        return
    headings = list(_headings(shown[0]))
    column = max(_WIDTH, 1 + max(map(len, headings)))
    room = max(1, (width - _PHASE) // column)
    for begin in range(0, len(headings), room):
        part = slice(begin, begin + room)
        yield Text(f"{'':<{_PHASE}}" + "".join(f"{name:>{column}}" for name in headings[part]), "dim")
        for latencies in shown:
            yield _times(latencies.name, latencies.soFar[part], "bold", column)
            if latencies.recent is not None:
                yield _times(f"  last {RECENT:.0f} s", latencies.recent[part], "", column)


def _headings(latencies: Latencies) -> Iterator[str]:
    return ("max" if wanted == 100 else nameOf(wanted) for wanted in latencies.wanted)


def _times(name: str, times: Sequence[float], style: str, width: int) -> Text:
    text = Text()
    text.append(f"{name:<{_PHASE}}", style)
    return text.append("".join(f"{duration(seconds):>{width}}" for seconds in times))


def _kinds(heading: str, kinds: Sequence[Kind], style: str, room: int) -> Iterator[Text]:
    """
    @param room: how many lines there may be at most.
    """
    if not kinds or room < _LEAST_KINDS:
        return
    shown = kinds if len(kinds) < room else kinds[: room - 2]
    rest = kinds[len(shown) :]
    yield _label(heading, style).append(f"{sum(kind.count for kind in kinds)}")
    for kind in shown:
        yield Text(f"  {kind.name:<{_NAME - 2}} {kind.count:>7}  ").append(kind.sample, "dim")
    if rest:
        yield Text(f"  {len(rest)} other kinds: {sum(kind.count for kind in rest)}")


def _label(label: str, style: str = "dim") -> Text:
    text = Text()
    # One is longer than the others.
    return text.append(f"{label + ' ':<{_LABEL}}" if label else " " * _LABEL, style)


def _filled(label: str, items: Iterable[tuple[str, str]], width: int) -> Iterator[Text]:
    """
    Items in as many lines as it takes.
    """
    text = _label(label)
    used = 0
    those = list(items)
    for number, (item, style) in enumerate(those, 1):
        comma = "," if number < len(those) else ""
        length = len(item) + len(comma)
        if used and _LABEL + used + 1 + length > width:
            yield text
            text, used = _label(""), 0
        if used:
            text.append(" ")
            used += 1
        text.append(item, style).append(comma)
        used += length
    yield text


def _plain(items: Iterable[tuple[str, str]]) -> list[str]:
    return [item for item, _ in items]


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
