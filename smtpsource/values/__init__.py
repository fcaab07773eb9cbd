"""What a value may be: numbers, names, files; and settings with their options and rules, whatever they are for."""
