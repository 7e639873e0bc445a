"""Where files are: one module for each kind of source."""
