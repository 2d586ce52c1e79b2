"""The order of an index's passages for a question, and the previews that are shown of them."""
