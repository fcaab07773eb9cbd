"""
A sink of several processes: one parent, which carries no mail, and its workers.
"""
