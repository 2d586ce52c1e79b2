"""Reading: what of a page's text is given, by position, section or query, within a budget."""
