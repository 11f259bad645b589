"""Values that the system is about, and the rules that each must obey; no I/O."""
