"""The command line of smtp-source, and what it shares with the others."""
