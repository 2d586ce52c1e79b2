"""Pages as resources: `pages` reads one, `recent_pages` lists those that were read last."""
