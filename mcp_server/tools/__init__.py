"""The two tools: arguments in, text for the model out."""

TOOLS = ("web_search", "web_visit")
"""Their names. What others call is an invention of theirs, and must not fill our memory."""
