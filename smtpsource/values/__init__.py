"""What a value may be: numbers, names, files; it knows no option and no run."""
