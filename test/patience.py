"""
How long tests wait for what has to happen.
"""

#: Seconds after which something that has not happened never will. It is for hangs only: on a machine that has much else
#: to do, all that is well takes a fraction of it. Whoever needs to know that something was quick counts, or has a clock
#: of its own.
PATIENCE = 600.0

#: The same for a whole test, which may wait for one thing after the other.
TEST_LIMIT = 3 * PATIENCE
