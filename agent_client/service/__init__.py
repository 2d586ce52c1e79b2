"""The agent as a service for other programs: an OpenAI-compatible model, and an MCP tool."""
