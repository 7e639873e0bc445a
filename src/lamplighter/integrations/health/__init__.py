"""Whether integrations work: how it is asked, and what was found."""
