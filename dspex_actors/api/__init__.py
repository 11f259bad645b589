"""The HTTP surface: one table of routes that the router, the checks and the OpenAPI document are all made of.

Reading order: `runtime` (what is below), `routes` (the table), `app` (how a request goes through it), `predict` and
`sse` (the hot path), then the rest, one noun a file. No Ray, no DSPy, no domain logic.
"""
