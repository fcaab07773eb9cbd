"""
What this machine lets one process have.
"""

from __future__ import annotations

import resource

#: Descriptors that a run needs beside its connections: logs, pipes, the poller, a report, Python's own, and those of
#: whoever asks for its metrics (L{smtpsource.report.metrics.MOST}) or looks at its dashboard
#: (L{smtpsource.report.dashboard.service.MOST}).
_SPARE = 50

#: Descriptors that a worker takes in its parent: what each says and is told, its standard output, and its complaints.
PIPES = 4


def raiseFileLimit() -> int:
    """
    Raise the soft limit of open files to the hard one, like smtp-source(1).

    @return: how many connections may be open at once.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):
            pass  # some systems have a lower limit than they say; what we have must do
    if soft == resource.RLIM_INFINITY:
        return 2**31 - 1
    return max(1, soft - _SPARE)
