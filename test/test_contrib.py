"""
Tests for what is in C{contrib/}: systemd itself checks the units, and their command lines are parsed. (Hadolint checks
the file of the image: C{make lint}.)
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import kubernetes_validate
import yaml
from patience import PATIENCE
from peers import missing
from subprocesses import ROOT
from twisted.trial.unittest import SynchronousTestCase

from smtpsource.cli.source import SourceOptions
from smtpsource.sink.options import SinkOptions

CONTRIB = ROOT / "contrib"
UNITS = sorted((CONTRIB / "systemd").iterdir())

#: The most that systemd-analyze may find to be exposed, from 0 to 100. What remains are networks, which both are for.
EXPOSURE = 15


def settings(unit):
    """
    @return: the settings of a unit; of those that are given more than once, the last.
    """
    return dict(re.findall(r"^([A-Za-z]+)=(.*)$", unit.read_text(), re.MULTILINE))


class UnitTests(SynchronousTestCase):
    """
    The units of systemd.
    """

    def analyze(self, *arguments):
        """
        Have systemd check something.

        @return: the status and what was said.
        """
        tool = shutil.which("systemd-analyze")
        if tool is None:
            missing("systemd-analyze isn't installed (Debian: systemd)")
        done = subprocess.run([tool, *arguments], capture_output=True, timeout=PATIENCE, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_valid(self):
        """
        Systemd has nothing to say of them, with commands that there are.
        """
        self.assertEqual(["smtpsink.service", "smtpsource@.service"], [unit.name for unit in UNITS])
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        for unit in UNITS:
            text, count = re.subn(r"^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text(), flags=re.M)
            self.assertEqual(1, count)
            (directory / unit.name).write_text(text)
            self.assertEqual((0, ""), self.analyze("verify", "--man=no", str(directory / unit.name)))
        # It does see what is wrong.
        (directory / "smtpsink.service").write_text(text.replace("[Service]", "[Service]\nProtectHom=yes"))
        self.assertIn("ProtectHom", self.analyze("verify", "--man=no", str(directory / "smtpsink.service"))[1])

    def test_hardened(self):
        """
        They may do little.
        """
        for unit in UNITS:
            status, said = self.analyze(
                "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(unit)
            )
            self.assertEqual(0, status, said)
            self.assertIn("Overall exposure level", said)

    def test_commands(self):
        """
        Their command lines can be used.
        """
        directory = Path(self.mktemp()).resolve()
        for name in ("etc/smtpsource", "lib/smtpsource", "lib/smtpsink"):
            (directory / name).mkdir(parents=True)
        (directory / "etc/smtpsource/night.toml").write_text('destination = "127.0.0.1:2525"\nmessage-count = 5\n')
        for unit, options in zip(UNITS, (SinkOptions, SourceOptions), strict=True):
            said = settings(unit)
            name, _, value = said.get("Environment", "ADDRESS=").partition("=")
            command = said["ExecStart"].replace("%E", f"{directory}/etc").replace("%S", f"{directory}/lib")
            command = command.replace("%i", "night").replace(f"${name}", value)
            name, *arguments = shlex.split(command)
            self.assertEqual(unit.name.partition(".")[0].rstrip("@"), os.path.basename(name))
            options().parseOptions(arguments)


class ImageTests(SynchronousTestCase):
    """
    The file of the image.
    """

    def test_copied(self):
        """
        All that is copied is there, and all that the package is built of is copied.
        """
        text = (CONTRIB / "Containerfile").read_text()
        copied = [word for words in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE) for word in words.split()]
        self.assertEqual([], [name for name in copied if not (ROOT / name).exists()])
        read = set(re.findall(r'"((?:docs|contrib)/\w+)/', (ROOT / "setup.py").read_text()))
        self.assertEqual({"docs/man", "contrib/completion"}, read)
        wanted = {"setup.py", "pyproject.toml", "README.rst", "LICENSE", "smtpsource", "twisted", "requirements"}
        self.assertLessEqual(wanted | read, {*copied})


class KubernetesTests(SynchronousTestCase):
    """
    The manifests of a load from many pods.
    """

    def load(self, name):
        """
        @return: a manifest.
        """
        return yaml.safe_load((CONTRIB / "kubernetes" / name).read_text())

    def test_valid(self):
        """
        They are what the newest Kubernetes knows, without a field that it does not know.
        """
        newest = kubernetes_validate.latest_version()
        for path in sorted((CONTRIB / "kubernetes").iterdir()):
            kubernetes_validate.validate(yaml.safe_load(path.read_text()), newest, strict=True)
        # It does see what is wrong.
        wrong = self.load("load.yaml")
        wrong["spec"]["backofLimit"] = 0
        self.assertRaises(kubernetes_validate.ValidationError, kubernetes_validate.validate, wrong, newest, strict=True)

    def test_oneOnEachNode(self):
        """
        No two pods of a load are on one node.
        """
        pod = self.load("load.yaml")["spec"]["template"]
        (term,) = pod["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        self.assertEqual("kubernetes.io/hostname", term["topologyKey"])
        self.assertEqual(term["labelSelector"]["matchLabels"], pod["metadata"]["labels"])

    def test_together(self):
        """
        The three agree, and what is to be edited is marked.
        """
        load, merge = (self.load(f"{name}.yaml")["spec"] for name in ("load", "merge"))
        pods = [job["template"]["spec"] for job in (load, merge)]
        images = {container["image"] for pod in pods for container in pod["containers"]}
        claims = {volume["persistentVolumeClaim"]["claimName"] for pod in pods for volume in pod["volumes"]}
        self.assertEqual(1, len(images))
        self.assertEqual({self.load("reports.yaml")["metadata"]["name"]}, claims)
        given = {each["name"]: each.get("value") for each in pods[1]["containers"][0]["env"]}
        self.assertEqual(str(load["completions"]), given["COMPLETIONS"])
        for name, marked in (
            ("load", ("completions", "image", "value", "args", "- name: reports")),
            ("merge", ("image", "value: smtpsource-xxxxx", 'value: "4"', "- name: reports")),
            ("reports", ("name", "storageClassName")),
        ):
            text = (CONTRIB / "kubernetes" / f"{name}.yaml").read_text()
            for what in marked:
                self.assertRegex(text, rf"# EDIT:[^\n]*\n(?:[^\n]*\n)?\s*{re.escape(what)}", (name, what))

    def test_once(self):
        """
        No pod is ever started again, so no mail is sent twice; each run has a name of its own.
        """
        job = self.load("load.yaml")
        spec, pod = job["spec"], job["spec"]["template"]["spec"]
        self.assertEqual(("Indexed", 0), (spec["completionMode"], spec["backoffLimit"]))
        self.assertEqual(("Never", spec["completions"]), (pod["restartPolicy"], spec["parallelism"]))
        self.assertNotIn("name", job["metadata"])
        self.assertTrue(job["metadata"]["generateName"])

    def test_command(self):
        """
        The command line of a pod is one of smtpsource, when the cluster has filled in what it does; its report is one
        of those that are added up.
        """
        job = self.load("load.yaml")
        (container,) = job["spec"]["template"]["spec"]["containers"]
        moment = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds").replace("+00:00", "Z")
        given = {"START": moment, "RUN": "smtpsource-7x2kp", "JOB_COMPLETION_INDEX": "3"}
        for each in container["env"]:
            self.assertIn(each["name"], given)
        words = [re.sub(r"\$\(([A-Z_]+)\)", lambda match: given[match[1]], word) for word in container["args"]]
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        report = words[words.index("--report") + 1]
        self.assertEqual("/reports/smtpsource-7x2kp-3.json", report)
        words[words.index(report)] = str(directory / "3.json")
        options = SourceOptions()
        options.parseOptions(words)
        self.assertEqual((250.0, 300.0), (options.plan.rate, options.plan.duration))
        self.assertGreater(job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], options.plan.grace)

    def test_merge(self):
        """
        Reports are added up if all of them are there, and only those of this run.
        """
        (container,) = self.load("merge.yaml")["spec"]["template"]["spec"]["containers"]
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        (script,) = container["args"]
        script = script.replace("/reports", str(directory)).replace("exec smtpsource", "echo smtpsource")
        environment = {**os.environ, "RUN": "smtpsource-a", "COMPLETIONS": "2"}

        def merge():
            command = [*container["command"], script]
            done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE, text=True)
            return done.returncode, done.stdout.split()

        self.assertEqual(1, merge()[0])
        for name in ("smtpsource-a-0", "smtpsource-ab-0", "smtpsource-ab-1"):
            (directory / f"{name}.json").write_text("{}")
        self.assertEqual(1, merge()[0])
        (directory / "smtpsource-a-1.json").write_text("{}")
        status, said = merge()
        self.assertEqual(0, status)
        parts = [f"{directory}/smtpsource-a-{index}.json" for index in (0, 1)]
        self.assertEqual(["smtpsource", "merge", "--report", f"{directory}/smtpsource-a.json", *parts], said)
