"""The web as an agent under evaluation meets it: recorded, replayed, kept free of mirrors."""
