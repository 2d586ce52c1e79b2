"""How an index lies on disk: its fields, files, generations and states."""
