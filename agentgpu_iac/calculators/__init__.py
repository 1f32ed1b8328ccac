"""Questions without a stack: what an engine will print, how fast it will be, and a measured run held against both."""
