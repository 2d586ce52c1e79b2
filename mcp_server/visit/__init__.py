"""Visiting pages: guard, fetch, extract."""
