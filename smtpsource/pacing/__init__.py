"""When: pauses, schedules, an exact timer, and which rate to try next."""
