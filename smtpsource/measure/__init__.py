"""What came back: counters, latencies and the summary of a run. No Twisted in here."""
