"""PDF: pages to paragraphs in reading order."""
