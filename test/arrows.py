"""
Which module imports which, as the source has it; and which may, as the table in docs/architecture.rst has it.
"""

from __future__ import annotations

import ast
import re
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """
    One line of the table: a folder, or a module that is in none.

    @ivar name: with a slash at the end if it is a folder.
    @ivar may: the names of those that it may import, in the table's order and without slashes.
    @ivar partOf: the folder whose arrows it has, for a folder that has none of its own.
    """

    name: str
    caption: str
    may: tuple[str, ...] = ()
    partOf: str | None = None

    @property
    def key(self):
        """
        The name as other rows have it.
        """
        return self.name.rstrip("/")


def tableIn(text):
    """
    Read the table in the section "Arrows" of a text.

    @return: its rows by their names without slashes, from top to bottom.
    @raise ValueError: a row can't be understood.
    """
    _, found, section = text.partition("\nArrows\n======\n")
    _, begun, block = section.partition("\n::\n\n")
    if not (found and begun):
        raise ValueError("expected a section Arrows with a literal block")
    entries = []
    for line in block.splitlines():
        if line.startswith("     "):
            entries[-1].append(line.strip())
        elif line.startswith("    "):
            entries.append([line.strip()])
        elif line:
            break
    return {row.key: row for row in map(_row, entries)}


def _row(lines):
    first, *rest = lines
    name, _, caption = first.partition(" ")
    said = " ".join(rest)
    part = re.fullmatch(r"part of (\S+)/", said)
    may = re.fullmatch(r"may import: (.+)", said)
    if part is not None:
        return Row(name, caption.strip(), partOf=part[1])
    if may is None:
        raise ValueError(f"{name}: expected 'may import:' or 'part of' and not {said!r}")
    return Row(name, caption.strip(), () if may[1] == "nothing" else tuple(may[1].split(", ")))


def modulesIn(package):
    """
    @param package: the path of its folder.
    @return: the paths of all its modules by their dotted names.
    """
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def importsIn(package):
    """
    Who imports whom within a package, wherever the import stands: for type checkers alone, within a function.

    @param package: the path of its folder.
    @return: the names that each module imports, by its own.
    """
    modules = modulesIn(package)
    return {name: _imported(name, path, modules) for name, path in modules.items()}


def _imported(importer, path, modules):
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                base = importer.split(".")
                if path.name != "__init__.py":
                    base.pop()
                base = base[: len(base) - node.level + 1]
                source = ".".join([*base, source] if source else base)
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                found.add(whole if whole in modules else source)
    return (found & modules.keys()) - {importer}


def circlesIn(imports):
    """
    @return: a shortest circle for each knot of modules that lead back to themselves, as a list that begins and ends
        with the same name.
    """
    circles = []
    seen = set()
    for start in sorted(imports):
        if start in seen:
            continue
        circle = _way(imports, start, start)
        if circle is not None:
            circles.append(circle)
            seen |= {each for each in imports if _way(imports, start, each) and _way(imports, each, start)}
    return circles


def _way(imports, start, end):
    """
    The shortest way of at least one arrow; C{None} if there is none.
    """
    ways = deque([[start]])
    been = set()
    while ways:
        way = ways.popleft()
        for after in sorted(imports.get(way[-1], ())):
            if after == end:
                return [*way, after]
            if after not in been:
                been.add(after)
                ways.append([*way, after])
    return None


def placesIn(package):
    """
    @return: where each module is, by its name: a folder such as C{"net/tls"}, or the module itself at the top.
    """
    found = {}
    for name, path in modulesIn(package).items():
        folder = path.parent.relative_to(package).as_posix()
        found[name] = path.stem if folder == "." else folder
    return found


def wrongIn(package, table):
    """
    What a table and a package have to say against each other.

    @return: a line about each: places without a row, rows without a place, arrows up the table, circles of modules,
        arrows that are not allowed, arrows that nobody uses.
    """
    places = placesIn(package)
    imports = importsIn(package)
    wrong = [f"{place}: no row in the table" for place in sorted({*places.values()} - table.keys())]
    wrong += [f"{key}: a row of the table, and nothing in the source" for key in table if key not in places.values()]
    if wrong:
        return wrong
    wrong += _wrongInTable(table)
    wrong += [f"circle: {circle[0]} imports {', which imports '.join(circle[1:])}" for circle in circlesIn(imports)]

    def rowOf(module):
        row = table[places[module]]
        return row if row.partOf is None else table[row.partOf]

    used = set()
    for importer, imported in imports.items():
        row = rowOf(importer)
        for each in sorted(imported):
            other = rowOf(each)
            if other is row:
                continue
            used.add((row.key, other.key))
            if other.key not in row.may:
                may = ", ".join(row.may) or "nothing"
                wrong.append(f"{importer} imports {each}: {row.name} may import {may}")
    for row in table.values():
        wrong += [
            f"{row.name} may import {each}, and does not: delete that from the table"
            for each in row.may
            if (row.key, each) not in used
        ]
    return wrong


def _wrongInTable(table):
    order = list(table)
    wrong = []
    for row in table.values():
        for each in row.may if row.partOf is None else [row.partOf]:
            if each not in table or table[each].partOf is not None:
                wrong.append(f"{row.name} names {each}, which has no arrows of its own in the table")
            elif row.partOf is None and order.index(each) <= order.index(row.key):
                wrong.append(f"{row.name} may import {each}, which does not stand below it in the table")
    return wrong
