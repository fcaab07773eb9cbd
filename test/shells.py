"""
Shells that complete command lines, with our commands beside them.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from patience import PATIENCE
from peers import missing
from subprocesses import ROOT

#: What runs each of the two commands from the source tree.
MODULES = {"smtpsource": "smtpsource", "smtpsink": "smtpsource.sink"}

#: How to have a shell on a terminal that reads nothing of its user's.
_INTERACTIVE = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}


#: What stands for a command says what it was given.
_GOT = rb"<((?:smtpsource|smtpsink)\|[^<>]*)>"


def need(shell):
    """
    @return: the path of a shell. Where it is not there, the test can't be run.
    """
    path = shutil.which(shell)
    if path is None:
        missing(f"{shell} isn't installed")
    return path


def commandsIn(directory):
    """
    Put C{smtpsource} and C{smtpsink} into a directory, as pip does.
    """
    directory.mkdir(parents=True)
    for name, module in MODULES.items():
        command = directory / name
        words = shlex.join([sys.executable, "-m", module])
        command.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {words} "$@"\n')
        command.chmod(0o755)


def environment(directory, **more):
    """
    @return: the environment of a shell that finds the commands in a directory first, and nothing of its user's.
    """
    home = Path(directory).parent
    kept = {"PATH": f"{directory}{os.pathsep}{os.environ['PATH']}", "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    return os.environ | kept | {"TERM": "vt100", "LC_ALL": "C.UTF-8", "XDG_DATA_HOME": str(home)} | more


def ask(shell, script, directory, env):
    """
    Run a script.

    @return: the lines that it wrote.
    """
    done = subprocess.run([need(shell), "-c", script], cwd=directory, env=env, capture_output=True, timeout=PATIENCE)
    if done.returncode or done.stderr:
        raise AssertionError(f"{shell} ended with {done.returncode}: {done.stderr.decode()}")
    return done.stdout.decode().splitlines()


def typed(shell, setup, lines, directory, env):
    """
    Type lines on a shell's terminal. C{\\t} in them is the key that completes.

    @param setup: what to say to the shell first.
    @return: for each line the words that C{smtpsource} or C{smtpsink} would have got.
    """
    import pty

    # What is typed is shown by functions of the commands' names.
    says = "".join(f"{name}() {{ printf '<%s|%s>\\n' {name} \"$*\"; }}\n" for name in MODULES)
    words = [need(shell), *_INTERACTIVE[shell]]
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        words, cwd=directory, env=env, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    )
    os.close(terminal)
    shown = b""

    def until(pattern, count=1):
        nonlocal shown
        while len(re.findall(pattern, shown)) < count:
            readable, _, _ = select.select([main], [], [], PATIENCE)
            try:
                more = os.read(main, 65536) if readable else b""
            except OSError:
                more = b""
            if not more:
                raise AssertionError(f"{shell} has said no more than {shown!r}")
            shown += more

    try:
        os.write(main, f"{setup}\n".encode())
        (Path(directory) / "says").write_text(says)
        os.write(main, b". ./says; echo rea''dy\n")
        until(rb"ready")
        shown = b""
        for number, line in enumerate(lines, 1):
            os.write(main, f"{line}\n".encode())
            until(_GOT, number)
        return [said.decode() for said in re.findall(_GOT, shown)]
    finally:
        process.kill()
        process.wait()
        os.close(main)
