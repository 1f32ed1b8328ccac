"""Our refusals for programs that are not ours: a CrossGuard policy pack that a platform team enforces.

``rules`` are pure functions over what a program asks for; ``pack`` hands them to Pulumi, in an environment of its own with the
extra ``policy``; ``folder`` is what such a pack looks like on disk.
"""
