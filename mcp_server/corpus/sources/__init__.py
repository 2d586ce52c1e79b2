"""What an index can be built from, one file per kind of source; `opening` tells them apart."""
