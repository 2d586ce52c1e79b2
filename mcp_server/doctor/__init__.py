"""`seekling-mcp doctor`: whether this server works here, and what to do where it does not."""
