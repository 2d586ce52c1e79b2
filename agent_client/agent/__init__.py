"""The agent: the loop, its limits, its prompts, and what comes out."""
