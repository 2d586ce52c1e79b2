"""Makes the pictures of the documents out of real runs: `make pictures`."""
