"""Commands that read reports: C{smtpsource compare} and C{smtpsource merge}."""
