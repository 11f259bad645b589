"""Settings by which several Ray nodes on one machine leave its processors to what is measured."""

from __future__ import annotations

QUIET = {
    "RAY_enable_metrics_collection": "0",
    "RAY_event_stats": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_task_events_report_interval_ms": "0",
}
