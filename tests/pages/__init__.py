"""What the README and ``docs`` show: every block of code is run, read by what would run it, or says why not."""
