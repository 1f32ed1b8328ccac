"""Pure physics and engine accounting: memory, latency, throughput and loading. No files, no network, no clock."""
