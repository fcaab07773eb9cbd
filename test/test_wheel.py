"""
Tests for what is installed: the wheel, in a virtual environment of its own, and the editable install.

Nothing is downloaded where setuptools is recent enough: what we depend on is lent by the environment of the tests.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

from patience import PATIENCE, TEST_LIMIT
from peers import missing
from setuptools import find_namespace_packages
from subprocesses import ROOT, TWISTD, Command, python
from twisted.internet import defer
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smtpsource import __version__, speedups

#: Nothing of the source tree is to be found by accident.
ELSEWHERE = {"PYTHONPATH": None, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}

_OFFLINE = (b"No matching distribution", b"NewConnectionError", b"name resolution", b"ProxyError")


def _canBuild():
    try:
        return int(metadata.version("setuptools").split(".")[0]) >= 77
    except metadata.PackageNotFoundError:
        return False


#: How pip is to build here: where setuptools isn't recent enough, a newer one is downloaded.
BUILD_OPTIONS = ["--no-build-isolation"] if _canBuild() else []


#: All that there is in a fresh clone, but for what is hidden.
TREE = (
    *("benchmarks", "contrib", "docs", "news", "requirements", "smtpsource", "test", "twisted"),
    *("CONTRIBUTING.rst", "LICENSE", "MANIFEST.in", "Makefile", "NEWS.rst", "README.rst", "pyproject.toml", "setup.py"),
)

#: What an installation has that is no module, beside its commands.
SHARED = {
    *(f"share/man/man1/{path.stem}.1" for path in (ROOT / "docs" / "man").glob("*.rst")),
    *(f"share/bash-completion/completions/{name}" for name in ("smtpsource", "smtpsink")),
    *(f"share/zsh/site-functions/_{name}" for name in ("smtpsource", "smtpsink")),
    *(f"share/fish/vendor_completions.d/{name}.fish" for name in ("smtpsource", "smtpsink")),
}


def packages():
    """
    @return: the names of all packages in the source tree.
    """
    found = [path.parent.relative_to(ROOT) for path in ROOT.glob("smtpsource/**/__init__.py")]
    return sorted(".".join(path.parts) for path in found)


class PackagingTests(SynchronousTestCase):
    """
    What C{pyproject.toml} says.
    """

    def setUp(self):
        with (ROOT / "pyproject.toml").open("rb") as file:
            self.settings = tomllib.load(file)

    def test_packages(self):
        """
        No package is forgotten, and nothing else is taken for one.
        """
        found = find_namespace_packages(ROOT, **self.settings["tool"]["setuptools"]["packages"]["find"])
        self.assertEqual(sorted(found), [*packages(), "twisted.plugins"])

    def test_directories(self):
        """
        Each directory with modules in it is a package, except for Twisted's plugins: that one must never be.
        """
        directories = {path.parent for path in ROOT.glob("smtpsource/**/*.py")}
        self.assertEqual([path for path in directories if not (path / "__init__.py").exists()], [])
        for name in ("twisted/__init__.py", "twisted/plugins/__init__.py", "test/__init__.py"):
            self.assertFalse((ROOT / name).exists(), name)

    def test_plugin(self):
        """
        The plugin file imports nothing of ours: every run of twistd and trial reads it.
        """
        text = (ROOT / "twisted" / "plugins" / "smtpsource_plugins.py").read_text()
        self.assertNotRegex(text, r"(?m)^\s*(from|import) +smtpsource")


class InstalledTestCase(TestCase):
    """
    What all of these have in common.
    """

    timeout = TEST_LIMIT

    #: What C{--version} says of what does the work.
    speedups = speedups.NAME

    #: What differs in the environment of the processes.
    variables = {}

    @defer.inlineCallbacks
    def succeed(self, command, **settings):
        """
        Run something that has to work.

        @return: what it printed.
        """
        env = ELSEWHERE | self.variables
        result = yield Command(self, command, env=env, deadline=PATIENCE, **settings).whenEnded()
        if result.status != 0:
            if any(words in result.out + result.err for words in _OFFLINE):
                missing(f"{command} needs a network")
            raise AssertionError(f"{command}: {result.out.decode()}{result.err.decode()}")
        return result.out

    def copyTree(self, directory):
        """
        Copy what is needed to build, as it is in a fresh clone.
        """
        unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", "dropin.cache", "_speedups.c", "_speedups.*.so")
        for name in TREE:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, directory / name, ignore=unwanted)
            else:
                shutil.copy(ROOT / name, directory)

    @defer.inlineCallbacks
    def environment(self):
        """
        Make a virtual environment that has all that the tests have, but not us.

        @return: its directory for modules.
        """
        directory = Path(self.mktemp()).resolve()
        yield self.succeed([sys.executable, "-m", "venv", "--without-pip", directory])
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.python = directory / "bin" / "python"
        (modules,) = directory.glob("lib/python*/site-packages")
        for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            for path in Path(place).iterdir():
                if "smtpsource" in path.name.lower() or (modules / path.name).exists():
                    continue
                if path.name == "twisted":
                    # Ours is installed into it.
                    unwanted = shutil.ignore_patterns("__pycache__", "test", "smtpsource_plugins.py", "dropin.cache")
                    shutil.copytree(path, modules / path.name, ignore=unwanted)
                else:
                    (modules / path.name).symlink_to(path)
        return modules

    def install(self, *arguments):
        """
        Have pip install something into the virtual environment.
        """
        pip = [sys.executable, "-m", "pip", "--python", self.python, "install", "--quiet", "--no-deps"]
        return self.succeed([*pip, *arguments])

    def inside(self, *arguments):
        """
        Run the virtual environment's Python, in an empty directory.

        @return: a L{defer.Deferred} that fires with what it printed.
        """
        return self.succeed([self.python, *arguments])

    @defer.inlineCallbacks
    def check(self, directory):
        """
        The installed commands and plugins work.

        @param directory: where the package is to be.
        """
        place = yield self.inside("-c", "import smtpsource; print(smtpsource.__file__)")
        self.assertEqual(Path(place.decode().strip()).resolve(), (directory / "smtpsource/__init__.py").resolve())
        commands = self.python.parent
        version = yield self.succeed([commands / "smtpsource", "--version"])
        self.assertEqual(version.decode(), f"smtpsource {__version__} ({self.speedups})\n")
        version = yield self.succeed([commands / "smtpsink", "--version"])
        self.assertEqual(version.decode(), f"smtpsink {__version__} ({self.speedups})\n")
        listed = yield self.inside("-c", TWISTD, "--help")
        for name in (b"smtp-source", b"smtp-sink"):
            self.assertRegex(listed, rb"(?m)^    %s +An SMTP and LMTP " % name)
        # Twisted's own are still there.
        for name in (b"web", b"ftp", b"conch"):
            self.assertRegex(listed, rb"(?m)^    %s +" % name)
        yield self.checkShared()
        loaded = yield self.inside("-c", TWISTD, "-n", "smtp-source", "-d", "-s", "2", "-m", "20", "sink:")
        self.assertIn(b"20 started, 20 accepted, 0 rejected, 0 failed", loaded)

    @defer.inlineCallbacks
    def checkShared(self):
        """
        Manual pages and completion are there. C{man} finds the pages by the C{PATH}, and Postfix's are not hidden.
        """
        prefix = self.python.parent.parent
        found = {str(path.relative_to(prefix)) for path in prefix.glob("share/**/*") if path.is_file()}
        self.assertEqual(SHARED, found)
        if shutil.which("man") is None:
            missing("man isn't installed (Debian: man-db)")
        pages = prefix / "share" / "man"
        names = sorted(Path(name).stem for name in SHARED if name.startswith("share/man"))
        self.assertIn("smtpsource", names)
        paths = yield self.succeed(["/usr/bin/env", f"MANPATH={pages}", "man", "-w", *names])
        self.assertEqual([str(pages / "man1" / f"{name}.1") for name in names], paths.decode().split())
        shown = yield self.succeed(["/usr/bin/env", f"MANPATH={pages}", "man", "-P", "cat", "smtpsource"])
        self.assertIn(b"make SMTP or LMTP load", shown)
        paths = yield self.succeed(
            [
                "/usr/bin/env",
                "-u",
                "MANPATH",
                f"PATH={self.python.parent}:{os.environ['PATH']}",
                "man",
                "-w",
                "smtpsink",
            ]
        )
        self.assertEqual(str(pages / "man1" / "smtpsink.1"), paths.decode().strip())


class WheelTests(InstalledTestCase):
    """
    The wheel.
    """

    _wheel = None

    @defer.inlineCallbacks
    def wheel(self):
        """
        @return: the path of the wheel, which is built once.
        """
        if WheelTests._wheel is None:
            directory = Path(tempfile.mkdtemp(prefix="wheel-")).resolve()
            atexit.register(shutil.rmtree, directory, ignore_errors=True)
            (directory / "tree").mkdir()
            self.copyTree(directory / "tree")
            command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", directory / "dist"]
            yield self.succeed([*command, *BUILD_OPTIONS, directory / "tree"])
            (WheelTests._wheel,) = (directory / "dist").glob("*.whl")
        return WheelTests._wheel

    @defer.inlineCallbacks
    def test_contents(self):
        """
        It has all modules, the compiled twin if there is one, and nothing else: above all no C{__init__.py} in
        Twisted's directories.
        """
        wheel = yield self.wheel()
        with zipfile.ZipFile(wheel) as file:
            names = set(file.namelist())
            information = f"smtpsource-{__version__}.dist-info"
            about = file.read(f"{information}/METADATA").decode()
            scripts = file.read(f"{information}/entry_points.txt").decode()
        modules = {str(path.relative_to(ROOT)) for path in ROOT.glob("smtpsource/**/*.py")}
        data = {"smtpsource/py.typed", "smtpsource/report/report.schema.json", "smtpsource/sink/control/openapi.json"}
        data |= {str(path.relative_to(ROOT)) for path in ROOT.glob("smtpsource/sink/rules/profiles/*.toml")}
        for pattern in ("*.css", "js/*.js", "vendor/*"):
            data |= {str(path.relative_to(ROOT)) for path in (ROOT / "smtpsource/report/html").glob(pattern)}
        data |= {
            f"smtpsource/report/dashboard/{name}"
            for name in ("events.js", "live.css", "live.html", "live.js", "mark.html")
        }
        expected = modules | data | {"twisted/plugins/smtpsource_plugins.py"}
        expected |= {f"smtpsource-{__version__}.data/data/{name}" for name in SHARED}
        if speedups.NAME == "compiled":
            expected.add("smtpsource/_speedups" + sysconfig.get_config_var("EXT_SUFFIX"))
        else:
            self.assertEqual(wheel.name, f"smtpsource-{__version__}-py3-none-any.whl")
        self.assertEqual({name for name in names if not name.startswith(f"{information}/")}, expected)
        self.assertIn(f"{information}/licenses/LICENSE", names)
        self.assertIn("\nRequires-Dist: hdrhistogram", about)
        self.assertIn("smtpsource = smtpsource.__main__:main\n", scripts)
        self.assertIn("[pytest11]\nsmtpsource = smtpsource.testing.pytestplugin\n", scripts)
        self.assertIn("smtpsink = smtpsource.sink.__main__:main\n", scripts)

    @defer.inlineCallbacks
    def test_installed(self):
        """
        Installed in a new environment its commands are there, C{twistd} finds its plugins, and Twisted is unharmed.
        """
        wheel = yield self.wheel()
        modules = yield self.environment()
        before = {path for path in modules.glob("twisted/**/*") if path.is_file() and path.suffix == ".py"}
        yield self.install("--no-index", wheel)
        after = {path for path in modules.glob("twisted/**/*") if path.is_file() and path.suffix == ".py"}
        self.assertEqual(after - before, {modules / "twisted/plugins/smtpsource_plugins.py"})
        self.assertEqual(before - after, set())
        yield self.check(modules)


class WithoutCompilerTests(InstalledTestCase):
    """
    C{pip install} on a machine without a C compiler.
    """

    speedups = "pure Python"
    variables = {"CC": "/nonexistent/cc"}

    @defer.inlineCallbacks
    def test_installed(self):
        """
        It works as it does elsewhere, without the compiled twin.
        """
        modules = yield self.environment()
        tree = Path(self.mktemp()).resolve()
        tree.mkdir()
        self.copyTree(tree)
        yield self.install("--no-index", *BUILD_OPTIONS, tree)
        self.assertEqual(list(modules.glob("smtpsource/_speedups*")), [])
        yield self.check(modules)


class SourceDistributionTests(InstalledTestCase):
    """
    C{python -m build --sdist}.
    """

    @defer.inlineCallbacks
    def test_contents(self):
        """
        It has all that a clone has, but for hidden files, and nothing else. Tests run in it.
        """
        tree = Path(self.mktemp()).resolve()
        tree.mkdir()
        self.copyTree(tree)
        wanted = {str(path.relative_to(tree)) for path in tree.glob("**/*") if path.is_file()}
        code = "import setuptools.build_meta as b; print(b.build_sdist('dist'))"
        printed = yield self.succeed([sys.executable, "-c", code], cwd=str(tree))
        with tarfile.open(tree / "dist" / printed.decode().split()[-1]) as file:
            names = {one.name.partition("/")[2] for one in file.getmembers() if one.isfile()}
            file.extractall(tree / "unpacked", filter="data")
        added = {name for name in names - wanted if not name.startswith("smtpsource.egg-info/")}
        self.assertEqual({"PKG-INFO", "setup.cfg"}, added)
        self.assertEqual(set(), wanted - names)
        (source,) = (tree / "unpacked").iterdir()
        paths = os.pathsep.join((str(source), str(source / "test")))
        self.variables = {"PYTHONPATH": paths, "SMTPSOURCE_PURE_PYTHON": "1"}
        modules = ["test_manual", "test_requirements", "test_arrows", "test_values"]
        printed = yield self.succeed([sys.executable, "-m", "twisted.trial", *modules], cwd=str(source))
        self.assertRegex(printed, rb"\nPASSED \(successes=[0-9]+\)")


class EditableTests(InstalledTestCase):
    """
    C{pip install --editable}.
    """

    @defer.inlineCallbacks
    def test_installed(self):
        """
        Commands and plugins are found, and what is edited is what runs.
        """
        yield self.environment()
        tree = Path(self.mktemp()).resolve()
        tree.mkdir()
        self.copyTree(tree)
        yield self.install(*BUILD_OPTIONS, "--editable", tree)
        yield self.check(tree)
        (tree / "smtpsource/_version.py").write_text('__version__ = "1.2.3.4"\n')
        version = yield self.succeed([self.python.parent / "smtpsource", "--version"])
        self.assertEqual(version, f"smtpsource 1.2.3.4 ({speedups.NAME})\n".encode())


class SourceTreeTests(TestCase):
    """
    The source tree itself, not installed.
    """

    timeout = TEST_LIMIT

    @defer.inlineCallbacks
    def test_inPlace(self):
        """
        In the source tree C{python -m smtpsource} works as it is.
        """
        command = python(self, "-B", "-m", "smtpsource", "--version", env={"PYTHONPATH": None}, cwd=os.fspath(ROOT))
        result = yield command.whenEnded()
        self.assertEqual((result.status, result.out.decode()), (0, f"smtpsource {__version__} ({speedups.NAME})\n"))
