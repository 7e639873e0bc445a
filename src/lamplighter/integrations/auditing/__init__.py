"""The audit log kept: sealed in chains, and destroyed when its time is over, unless it is held."""
