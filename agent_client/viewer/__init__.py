"""A run or a session as one page: what is in it, and how it is written or served."""
