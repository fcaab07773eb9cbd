"""
What is installed: the bounds in pyproject.toml, and the lock file that C{make test} goes by.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "requirements"))

import bounds  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCK = (ROOT / "requirements" / "test.txt").read_text("utf-8")


def canonical(name):
    """
    @return: the name of a package as indexes have it.
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def numbers(version):
    """
    @return: a version as numbers to compare.
    """
    return [int(number) for number in version.split(".")]


def wanted():
    """
    @return: what C{make test} needs by pyproject.toml: for each package its lower and its upper bound, or C{None}.
    """
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    found = {}
    ours = [text for extra in ("tls", "locust", "test") for text in extras[extra]]
    for text in [*project["dependencies"], *ours, *PROJECT["build-system"]["requires"]]:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(\[[a-z,]+\])?(?:>=([0-9.]+))?(?:,<([0-9.]+))?", text)
        name = canonical(match[1])
        if name != project["name"]:
            lower, upper = found.get(name, (None, None))
            found[name] = match[3] or lower, match[4] or upper
    return found


def locked():
    """
    @return: what is in the lock file: for each package its versions, one for each kind of machine, and all hashes.
    """
    found = {}
    for entry in re.split(r"(?m)^(?=[a-z])", re.sub(r"(?m)^ *#.*\n", "", LOCK)):
        if entry:
            match = re.match(r"([a-z0-9._-]+)==([0-9.]+?)(?:\.post[0-9]+)?(?: ; [^\n\\]+)? \\\n", entry)
            hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry)
            found.setdefault(canonical(match[1]), []).append((match[2], hashes))
    return found


class DependencyTests(SynchronousTestCase):
    """
    What pyproject.toml asks for.
    """

    def test_declared(self):
        """
        All that the source imports is asked for, not only there by chance, because others want it.
        """
        imported = set()
        for path in (ROOT / "smtpsource").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    imported.add(node.module.partition(".")[0])
        fromTLS = {"OpenSSL", "cryptography", "service_identity"}  # twisted[tls] asks for these
        homes = packages_distributions()
        for name in sorted(imported - sys.stdlib_module_names - fromTLS - {"smtpsource"}):
            self.assertTrue({canonical(home) for home in homes[name]} & wanted().keys(), name)


class LockTests(SynchronousTestCase):
    """
    requirements/test.txt.
    """

    def test_complete(self):
        """
        Everything that pyproject.toml asks for is there, what the build needs too, and within its bounds: whoever
        changes these runs C{make lock}.
        """
        found = locked()
        self.assertEqual(sorted(wanted().keys() - found.keys()), [])
        for name, (lower, upper) in wanted().items():
            for version, _ in found[name]:
                if lower is not None:
                    self.assertGreaterEqual(numbers(version), numbers(lower), name)
                if upper is not None:
                    self.assertLess(numbers(version), numbers(upper), name)

    def test_hashes(self):
        """
        Every file has its hash.
        """
        for name, versions in locked().items():
            for _, hashes in versions:
                self.assertTrue(hashes, name)
        # As many as there are lines that are no comment and no package.
        lines = [line for line in LOCK.splitlines() if not line.lstrip().startswith("#")]
        self.assertEqual(
            sum(line.startswith("    --hash=sha256:") for line in lines),
            len(lines) - sum(len(versions) for versions in locked().values()),
        )

    def test_fromAnywhere(self):
        """
        It names no index and no file: whoever installs from it has their own.
        """
        for word in ("://", "--index-url", "--extra-index-url", "--find-links", "--trusted-host", " @ ", "file:"):
            self.assertNotIn(word, LOCK)


class BoundsTests(SynchronousTestCase):
    """
    Upper bounds.
    """

    def test_privateNames(self):
        """
        What private names are used of has an upper bound, and nothing else has.
        """
        text = (ROOT / "pyproject.toml").read_text("utf-8")
        bounded = {name for name, (_, upper) in wanted().items() if upper is not None}
        self.assertEqual(bounded, {"twisted", "hdrhistogram", "pyopenssl", "shtab", "locust"})
        self.assertEqual(set(bounds.names(text)), bounded)

    def test_moved(self):
        """
        A bound moves behind the newest release, with as many numbers as it has, and never back.
        """
        text = 'x = ["a>=22.10,<26.11", "b[c,d]>=0.10,<0.11", "e>=21,<27", "f>=1", "a-b[c]>=22.10"]  # a\n'
        for newest, expected in (
            ({"a": "26.10.0", "b": "0.10.9", "e": "26.4"}, text),
            ({"a": "25.1", "b": "0.2", "e": "9"}, text),
            (
                {"a": "26.11.0rc1", "b": "0.11.0", "e": "27.0.1"},
                text.replace("<26.11", "<26.12").replace("<0.11", "<0.12").replace("<27", "<28"),
            ),
            (
                {"a": "27.2.0", "b": "1.0", "e": "30"},
                text.replace("<27", "<31").replace("<26.11", "<27.3").replace("<0.11", "<1.1"),
            ),
        ):
            self.assertEqual(bounds.moved(text, newest.__getitem__), expected)
