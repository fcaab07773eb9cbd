"""
The layout of a report: the JSON Schema that comes with this package, and whether a document is as it says.

Only as much of JSON Schema (draft 2020-12) is known here as that file uses; any other implementation says the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from smtpsource.printable import brief

Schema = dict[str, Any]


@cache
def reportSchema() -> Schema:
    """
    The schema of a report.
    """
    text = (resources.files("smtpsource.report") / "report.schema.json").read_text("utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def problems(document: object) -> Iterator[str]:
    """
    What is wrong with a report: C{"expected a whole number of 0 or more in messages.accepted, not 'x'"}; nothing, if
    nothing is.
    """
    return _problems(document, reportSchema(), "")


def _problems(value: object, schema: Schema, path: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = reportSchema()["$defs"][schema["$ref"].rpartition("/")[2]]
    if not _fits(value, schema):
        yield f"expected {_wanted(value, schema)}{path and ' in ' + path}, not {shown(value)}"
    elif isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                yield f"expected a field {_join(path, name)}, which is missing"
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, one in value.items():
            yield from _problems(one, known.get(name, others), _join(path, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _problems(one, schema.get("items", {}), f"{path}[{number}]")


def _fits(value: object, schema: Schema) -> bool:
    """
    Is it so, apart from what is in it?
    """
    if "const" in schema and not _same(value, schema["const"]):
        return False
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        return False
    if "type" in schema and not any(_isA(value, kind) for kind in _kinds(schema)):
        return False
    if "minimum" in schema and _isA(value, "number") and value < schema["minimum"]:
        return False
    if _isTooMuch(value, schema):
        return False
    return not ("pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value))


def _same(value: object, wanted: object) -> bool:
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)


def _kinds(schema: Schema) -> list[str]:
    kinds = schema["type"]
    return kinds if isinstance(kinds, list) else [kinds]


def _isA(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, _TYPES[kind])


_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}

_WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
}


def _isTooMuch(value: Any, schema: Schema) -> bool:
    return "maximum" in schema and _isA(value, "number") and value > schema["maximum"]


def _wanted(value: object, schema: Schema) -> str:
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " or ".join(map(json.dumps, schema["enum"]))
    words = " or ".join(_WORDS[kind] for kind in _kinds(schema))
    if _isTooMuch(value, schema):
        words += f" of at most {schema['maximum']}"
    elif "minimum" in schema:
        words += f" of {schema['minimum']} or more"
    if "pattern" in schema:
        words += f" that matches {schema['pattern']}"
    return words


def shown(value: object) -> str:
    """
    A value that is not as it should be, to be named in a sentence.
    """
    return brief(json.dumps(value))


def _join(path: str, name: str) -> str:
    name = brief(name)
    return f"{path}.{name}" if path else name
