"""This process: its signals, its end, its standard output, its garbage, threads and open files."""
