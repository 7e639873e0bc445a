"""Upkeep of PostgreSQL: dead rows, bloated tables and indexes, statistics, transactions that do not end."""
