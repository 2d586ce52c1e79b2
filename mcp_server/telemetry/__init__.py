"""What the operator of a server sees: one log line a call, counts, metrics and spans."""
