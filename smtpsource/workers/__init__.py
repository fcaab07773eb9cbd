"""
A run by several processes: a parent that decides and adds up, and workers that carry the mail.
"""
