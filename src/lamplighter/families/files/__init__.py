"""The file family: what tenants keep elsewhere is listed, read, and found again by what it says."""
