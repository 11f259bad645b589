"""Signatures: what a program takes and gives, and the checks at that boundary.

Reading order: `bridge` (a string becomes a `dspy.Signature`), `checks` (inputs against the declared types, the heart),
`outputs` (a prediction becomes JSON).
"""
