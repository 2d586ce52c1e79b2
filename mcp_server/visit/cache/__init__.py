"""Caching: pages that were read before, in memory and in a file."""
