"""Integrations from elsewhere: a file's records, read one by one, and brought in as if they had connected here."""
