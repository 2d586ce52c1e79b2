"""Searching: the provider chain and its providers."""
