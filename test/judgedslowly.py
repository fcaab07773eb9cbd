"""
What became of every message, worked out in the plainest way: one record after the other, with dictionaries.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from smtpsource.ledger import records

ACKNOWLEDGED, REFUSED, UNKNOWN, UNSENT = records.ACKNOWLEDGED, records.REFUSED, records.UNKNOWN, records.UNSENT


@dataclass
class Unit:
    """
    A message for a recipient.
    """

    address: int = 0
    raw: int = 0
    canonical: int = 0
    intents: int = 0
    again: bool = False
    unsure: bool = False
    named: bool = False
    outcome: int = 0
    came: list = field(default_factory=list)
    elsewhere: bool = False
    bounced: bool = False


def _units(sources):
    units = defaultdict(dict)
    for found in sources:
        for one in found:
            mine = units[one["number"]]
            if one["kind"] == records.INTENT:
                unit = mine.setdefault(one["index"], Unit())
                if unit.intents:
                    unit.unsure |= unit.outcome in (0, UNKNOWN)
                    unit.outcome, unit.named, unit.again = 0, False, True
                unit.unsure |= not unit.intents and one["flag"] > 1
                unit.intents += 1
                unit.again |= one["flag"] > 1
                unit.address, unit.raw, unit.canonical = one["address"], one["raw"], one["canonical"]
            elif one["kind"] == records.OUTCOME and one["index"] != records.WHOLE:
                unit = mine.setdefault(one["index"], Unit())
                unit.outcome, unit.named = one["flag"], True
            elif one["kind"] == records.OUTCOME:
                for unit in mine.values():
                    if unit.intents and not unit.named:
                        unit.outcome = one["flag"]
    return units


def _unseen(found):
    """
    The arrivals in one ledger whose replies may not have been seen, by their places in it.
    """
    places = set()
    sessions, over = defaultdict(list), set()
    for at, one in enumerate(found):
        if one["kind"] == records.ARRIVAL:
            sessions[one["session"]].append(at)
        elif one["kind"] in (records.UNSEEN, records.LEFT):
            over.add(one["session"])
            places |= set(sessions[one["session"]][-one["size"] :] if one["size"] else ())
    if not any(one["kind"] == records.END for one in found):
        for arrivals in (arrivals for session, arrivals in sessions.items() if arrivals and session not in over):
            places |= {at for at in arrivals if found[at]["number"] == found[arrivals[-1]]["number"]}
    return places


def judged(run, sources, sinks, drained=True):
    """
    @param sources: for each ledger, its records.
    @return: counts by their names.
    """
    units = _units(sources)
    known = {unit.address for mine in units.values() for unit in mine.values() if unit.intents}
    count = Counter()
    strays = Counter()
    for number, found in enumerate(sinks):
        unseen = _unseen(found)
        back = {one["time"] for one in found if one["kind"] == records.TAKEN_BACK}
        original = 0
        for at, one in enumerate(found):
            if one["kind"] == records.ORIGINAL:
                original = one["address"]
            elif one["kind"] == records.REPORT and one["run"] == run:
                _report(units[one["number"]], one)
            elif one["kind"] == records.DAMAGED:
                count["damaged"] += 1
            if one["kind"] != records.ARRIVAL:
                continue
            sentTo, original = original, 0
            if one["run"] != run:
                count["foreign" if one["run"] else "unidentified"] += 1
            elif one["flag"] != records.DEEDS.index("accept-but-lose") and one["time"] not in back:
                count["arrivals"] += 1
                mine = {unit.address: unit for unit in units[one["number"]].values() if unit.intents}
                unit = mine.get(one["address"])
                if unit is None and sentTo and one["address"] not in known:
                    unit = mine.get(sentTo)
                if unit is not None:
                    unit.came.append((one["time"], number, at, at in unseen, one))
                elif mine:
                    strays[one["number"]] += 1
                else:
                    count["ghosts"] += 1
    for number, copies in strays.items():
        free = [unit for _, unit in sorted(units[number].items()) if unit.intents and not unit.came]
        free.sort(key=_rank)
        for unit in free[:copies]:
            unit.elsewhere = True
        count["astray"] += max(0, copies - len(free))
    for mine in units.values():
        for unit in mine.values():
            if unit.intents:
                _count(unit, count, drained)
    return {name: number for name, number in count.items() if number}


def _rank(unit):
    return 2 if unit.bounced or unit.outcome in (REFUSED, UNSENT) else unit.outcome != ACKNOWLEDGED


def _report(mine, one):
    if one["flag"] != records.ACTIONS.index("failed"):
        return
    named = [unit for unit in mine.values() if unit.intents and unit.address == one["address"]]
    if not named and (not one["address"] or max(mine, default=1) == 0):
        named = list(mine.values())
    for unit in named:
        unit.bounced = True


def _count(unit, count, drained):
    away = not unit.came and not unit.elsewhere
    if unit.outcome == UNSENT and away and not unit.again:
        return
    count["sent"] += 1
    count["acknowledged"] += unit.outcome == ACKNOWLEDGED
    count["here"] += unit.outcome == ACKNOWLEDGED and bool(unit.came)
    if unit.came and unit.outcome == ACKNOWLEDGED:
        name = "delivered"
    elif unit.came and (unit.outcome != REFUSED or unit.unsure):
        name = "recovered"
    elif unit.came:
        name = "refused"
        count["contradicted"] += 1
    elif unit.elsewhere:
        name = "misdelivered"
    elif unit.bounced:
        name = "bounced"
    elif unit.outcome == ACKNOWLEDGED:
        name = "lost" if drained else "queued"
    else:
        name = "refused" if unit.outcome == REFUSED else "unknown"
    count[name] += 1
    bodies = [(one["raw"], one["canonical"]) for *_, one in unit.came]
    count["misreported"] += bool(unit.came and unit.bounced)
    count["corrupted"] += any(canonical != unit.canonical for _, canonical in bodies)
    count["transformed"] += any(canonical == unit.canonical and raw != unit.raw for raw, canonical in bodies)
    if len(unit.came) > 1:
        count["duplicated"] += 1
        count[_reason(unit)] += 1


def _reason(unit):
    came = sorted(unit.came, key=lambda each: each[0])
    if any(one["flag"] == records.DEEDS.index("duplicate") for *_, one in came):
        return "rule"
    if unit.unsure or unit.outcome in (0, UNKNOWN):
        return "unknown-outcome"
    return "unseen-reply" if any(unseen for _, _, _, unseen, _ in came[:-1]) else "none"
