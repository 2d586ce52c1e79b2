"""Reading documents in warm child processes that can be killed."""
