"""Models: the mock engine, the models by name, and what their failures mean to callers.

Reading order: `models` (what programs are given), `mock` (the heart: an engine that answers by rule), `prompt` and
`schema_value` (how it finds out what to say), `settings` (its switches), `errors` (failures as typed errors).
"""
