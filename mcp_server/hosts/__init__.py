"""The programs that start the server: where each keeps its settings, and how we get in and out."""
