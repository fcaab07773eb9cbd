"""Several runs: the commands compare, merge and calibrate, with their arithmetic and their text."""
