"""A small real world on 127.0.0.1 to try Lamplighter on: providers that issue tokens, drives that want them, faults."""
