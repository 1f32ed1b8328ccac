"""A running cluster beside the plan: what is missing, changed, unhealthy or pending, and why. Nothing here writes.

The edge reads, and the rest judges what was read::

    cluster  kubernetes_api                       what is asked of a cluster, and the client that asks it -> Snapshot
    planned  snapshot                             the objects that the rendered files plan; what a cluster holds
    comparison  pending  health  progress         Plan, planned objects, Snapshot -> findings and stages
    report  status_view  waiting                  all of them in one Report; how it reads; how to wait for it
"""
