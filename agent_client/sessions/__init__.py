"""Stored conversations: every run as a file of events that only grows."""
