"""The command line: one module for each noun, `main` for the program."""
