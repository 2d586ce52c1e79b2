"""Reports on a topic: planned, researched, written, and checked against the pages they cite."""
