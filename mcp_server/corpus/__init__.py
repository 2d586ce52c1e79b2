"""The local corpus: documents, the index built from them, the embedded encyclopedia."""
