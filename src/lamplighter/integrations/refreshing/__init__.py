"""Keeping tokens alive: when one is refreshed, how no token is spent twice, and how none that was received is lost."""
