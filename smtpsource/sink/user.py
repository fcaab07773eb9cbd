"""
Who a process is, once it need not be root any more.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable

from twisted.python.util import switchUID


def becomeUser(name: str | None, root: str | None, prepare: Callable[[], object]) -> str | None:
    """
    Become a user, if this process is root.

    @param name: the user's; C{None} is whoever this process is.
    @param root: the directory that is all that is seen then; C{None} is all.
    @param prepare: called before it is all.
    @return: what went wrong, if anything did.
    """
    if name is None or os.geteuid() != 0:
        return None
    user = pwd.getpwnam(name)
    try:
        if root is None:
            switchUID(user.pw_uid, user.pw_gid)
        else:
            prepare()
            # There is no list of users and groups in the new one.
            os.initgroups(user.pw_name, user.pw_gid)
            os.chroot(root)
            os.chdir("/")
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
    except OSError as e:
        doing = "become" if root is None else f"go to the root directory {root} as"
        return f"can't {doing} user {name}: {e.strerror}"
    return None
