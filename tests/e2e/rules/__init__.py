"""Rules, queries and dashboards under the real promtool."""
