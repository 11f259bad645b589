"""Benchmarks: what a durable prediction costs, and what a client feels when a host dies, beside peers in the same run.

Read in this order: `wire` (one HTTP/1.1 connection), `load` (closed and open loops over it), `latency` and `outage`
(what is made of the records), `server` (a server under test as a process), `peers` and `ours` (which servers), then the
two programs `throughput` and `failover`.
"""
