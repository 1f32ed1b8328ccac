"""From a plan to machines, through Pulumi: a program for each target, made of components, one per group of resources.

Read ``program.deploy`` first, then the ``program`` of a target: it shows the whole order in a page. The components hold
no numbers of their own; sizes, counts, versions and prices come from the plan. What the plan does not cover (address
ranges, the nodes that run cluster add-ons) stands as a named constant with its reason beside the component that needs it.
"""
