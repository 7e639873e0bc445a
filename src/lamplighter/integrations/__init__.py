"""Tenants' connections to cloud providers, and what keeps them alive: tables, vault, OAuth client, refresher."""
