"""Seekling's agent client."""
