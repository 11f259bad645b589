"""DSPy programs as supervised, durable sessions."""
