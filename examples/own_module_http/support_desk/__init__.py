"""A help desk: two programs in a package that a server may import."""
