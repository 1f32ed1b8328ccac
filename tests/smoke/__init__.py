"""Every command in every format as it is installed, whatever versions its libraries have. ``make smoke`` runs it three times."""
