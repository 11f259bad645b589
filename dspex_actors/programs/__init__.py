"""Programs: from a specification to a DSPy module that runs turns.

Reading order: `call` (what goes in and out of a run), `loaded` (one turn of one program, the heart), `catalogue` (the
programs of a host), `modules` (building them), then `tokens`, `leftovers`, `current`, `usage`, `failures`.
"""
