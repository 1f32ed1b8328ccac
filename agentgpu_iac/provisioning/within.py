"""Where the resources of a program stand: at the root of a Pulumi program, or within a component of somebody's."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi


def within(
    parent: pulumi.Resource | None, after: Sequence[pulumi.Resource] = (), *, protect: bool | None = None
) -> pulumi.ResourceOptions:
    """Options of a resource of a program; ``after`` is what must be there before it, ``protect`` keeps it from deletion.

    A resource that has a parent answers to the name that it had without one too: a stack that was deployed at the root is
    moved into the component, and nothing of it is made anew.
    """
    if parent is None:
        return pulumi.ResourceOptions(depends_on=list(after), protect=protect)
    at_the_root = pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)
    return pulumi.ResourceOptions(parent=parent, depends_on=list(after), aliases=[at_the_root], protect=protect)
