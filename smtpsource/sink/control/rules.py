"""
C{/rules}: the rules of a sink, while it runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import blake2b
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from smtpsource.sink.control.asked import Asked
from smtpsource.sink.rules.ruleset import RuleSet
from smtpsource.sink.rules.written import fromTOML
from smtpsource.web.answers import JSON, Answer, Problem, asJSON, unusable

if TYPE_CHECKING:
    from smtpsource.sink.steering import Steering

#: The types of a document of rules.
TOML = "application/toml"

#: RFC 7396.
MERGE_PATCH = "application/merge-patch+json"


class Rules:
    """
    What can be done with the rules as a whole, and with one of them.
    """

    def __init__(self, steering: Steering) -> None:
        self._steering = steering
        self._added = 0

    def get(self, asked: Asked) -> Answer:
        """
        All rules.
        """
        tag = self._tag()
        known = asked.header("if-none-match")
        if known is not None and _names(known.replace("W/", ""), tag):
            return Answer(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
        return self._all()

    def put(self, asked: Asked) -> Answer:
        """
        Other rules instead.
        """
        asked.requireType(JSON, TOML)
        if asked.contentType == TOML:
            text = asked.text()
            return self._swap(asked, lambda: fromTOML(text, "rules"))
        document = asked.document()
        return self._swap(asked, lambda: RuleSet.fromDict(document))

    def patch(self, asked: Asked) -> Answer:
        """
        Some keys of the document anew, others gone: a merge patch.
        """
        patch = asked.document(MERGE_PATCH, JSON)
        return self._swap(asked, lambda: RuleSet.fromDict(merged(self._named(), patch)))

    def add(self, asked: Asked) -> Answer:
        """
        One rule more, behind the others or, with C{first}, before them. It has a name from then on, and keeps that when
        others go.
        """
        isFirst = _isTrue("first", asked.query.get("first", "false"))
        rule, document = asked.document(), self._named()
        number = self._added
        if isinstance(rule, dict) and "name" not in rule:
            names = {each["name"] for each in document["rule"]}
            number = next(each for each in count(number + 1) if f"added rule {each}" not in names)
            rule = {"name": f"added rule {number}", **rule}
        rules = [rule, *document["rule"]] if isFirst else [*document["rule"], rule]
        self._swap(asked, lambda: RuleSet.fromDict({**document, "rule": rules}))
        self._added = number
        where = f"/rules/{quote(rule['name'], safe='')}"
        return asJSON(
            self._named()["rule"][0 if isFirst else -1], HTTPStatus.CREATED, {"ETag": self._tag(), "Location": where}
        )

    def getOne(self, asked: Asked) -> Answer:
        """
        One rule.
        """
        return asJSON(self._named()["rule"][self._placeOf(asked)], headers={"ETag": self._tag()})

    def removeOne(self, asked: Asked) -> Answer:
        """
        One rule less.
        """
        place, document = self._placeOf(asked), self._named()
        del document["rule"][place]
        self._swap(asked, lambda: RuleSet.fromDict(document))
        return Answer(status=HTTPStatus.NO_CONTENT, headers={"ETag": self._tag()})

    def _placeOf(self, asked: Asked) -> int:
        name = asked.names["name"]
        for place, rule in enumerate(self._steering.rules.rules):
            if rule.name == name:
                return place
        raise Problem(HTTPStatus.NOT_FOUND, f"there is no rule {name!r}")

    def _named(self) -> dict[str, Any]:
        """
        The document, in which every rule has its name: it is the same rule when others before it have gone.
        """
        document = self._steering.rules.asDict()
        names = [rule.name for rule in self._steering.rules.rules]
        document["rule"] = [{"name": name, **rule} for name, rule in zip(names, document["rule"], strict=True)]
        return document

    def _all(self) -> Answer:
        return asJSON(self._named(), headers={"ETag": self._tag()})

    def _tag(self) -> str:
        """
        The entity tag of the document (RFC 9110 section 8.8.3).
        """
        text = json.dumps(self._named(), sort_keys=True)
        return f'"{blake2b(text.encode("ascii"), digest_size=8).hexdigest()}"'

    def _swap(self, asked: Asked, make: Callable[[], RuleSet]) -> Answer:
        """
        Have other rules from the next reply on. Those that stay as they are go on counting where they were.
        """
        try:
            rules = make()
        except ValueError as e:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(e))
        except RecursionError:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "what is nested so deeply is not usable: expected a document of rules"
            )
        # After all other problems: RFC 9110 section 13.2.1.
        expected = asked.header("if-match")
        if expected is not None and not _names(expected, self._tag()):
            raise Problem(HTTPStatus.PRECONDITION_FAILED, "the rules have changed: expected their ETag in If-Match")
        self._steering.replaceRules(rules)
        return self._all()


def _isTrue(name: str, text: str) -> bool:
    try:
        return {"true": True, "false": False}[text]
    except KeyError:
        raise unusable(name, text, ValueError("expected true or false"))


def _names(condition: str, tag: str) -> bool:
    """
    Is this tag among those of If-Match or If-None-Match?
    """
    named = [each.strip() for each in condition.split(",")]
    return "*" in named or tag in named


def merged(target: Any, patch: Any) -> Any:
    """
    A document with a merge patch (RFC 7396 section 2).
    """
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
