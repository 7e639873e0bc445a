"""What ships for tests: of a store, and of an application's own jobs."""
