"""How near two texts are in meaning, by a small embedding model on the CPU (extra `semantic`)."""
