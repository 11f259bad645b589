"""What DSPex Actors is measured against: what one would write with the same libraries in an afternoon.

Each peer is a program of its own that answers `POST /predict {"question"}` with one prediction of
`question -> answer` on the same mock engine, listens on 127.0.0.1 only, and stops when its standard input ends.
"""
