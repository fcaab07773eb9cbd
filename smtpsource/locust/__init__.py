"""
Runs on many machines by Locust. Its processes carry no mail: beside each of its workers there is a
C{smtpsource worker}, beside its master a process that decides and adds up, and what these say to each other goes
through Locust.

There are no reactor and gevent in one process. See docs/distributed.rst.
"""
