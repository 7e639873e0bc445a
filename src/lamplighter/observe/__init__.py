"""What can be seen of a running Lamplighter from outside."""
