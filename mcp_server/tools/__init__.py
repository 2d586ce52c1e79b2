"""The two tools: arguments in, text for the model out."""
