"""
The DNS of a world whose hosts all are this machine.
"""
