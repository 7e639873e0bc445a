"""The audit family: records are sealed in chains, archived elsewhere, found again, verified, and destroyed in time."""
