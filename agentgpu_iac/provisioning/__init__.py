"""Plan in, Pulumi components out, one file each. Nothing here decides."""
