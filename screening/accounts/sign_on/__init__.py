"""Signing in at the hospital's own identity provider (OpenID Connect), roles from its groups."""
