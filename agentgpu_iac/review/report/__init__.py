"""The report: a plan as one HTML page without a script, whose figures are drawn when it is made."""
