"""HTML: from a parsed page to its main content, as Markdown and as plain text."""
