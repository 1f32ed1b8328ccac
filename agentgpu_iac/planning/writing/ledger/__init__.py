"""The sums behind a plan's numbers, written from the terms that the decisions were made with.

One module for each section of an explanation. Each gives ``Line``s; ``entries`` joins them to the workloads of the plan.
"""
