"""From a plan to AWS, through Pulumi: one component per group of resources, and one program that joins them.

Read ``program.deploy`` first: it shows the whole order in a page. The components below it hold no numbers of
their own; sizes, counts, versions and prices come from the plan. What the plan does not cover (address ranges,
the nodes that run cluster add-ons) stands as a named constant with its reason beside the component that needs it.
"""
