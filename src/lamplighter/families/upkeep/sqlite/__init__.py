"""Upkeep of SQLite files: free pages, the log, statistics, damage, and backups that were restored once."""
