"""Signing in at an OpenID provider (OpenID Connect Core 1.0, 3.1: the authorization code flow)."""
