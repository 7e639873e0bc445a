"""The database of the service's own tables, and how it comes to have them."""
