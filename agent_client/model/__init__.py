"""Talking to a language model over the chat-completions protocol."""
