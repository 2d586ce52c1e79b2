"""Rendering pages that need JavaScript, in an installed browser behind our own guard."""
