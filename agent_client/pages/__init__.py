"""What our HTML pages have in common: how one is put together, and the scripts of a timeline."""
