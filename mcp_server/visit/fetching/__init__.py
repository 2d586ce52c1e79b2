"""Fetching: one download within limits, over the one guarded dial."""
