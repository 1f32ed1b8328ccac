"""Rendered stacks into a Git repository, and a pull request for who must approve them.

::

    settings                  agentgpu-publish.yaml: which stacks, environments, branch and forge
    environments              a stack as it is in an environment
    folders                   what changes in a folder that we own, and why it may not
    branch                    a branch that holds exactly that, made in one step; pushed
    forge  github  gitlab     the pull request, by the site's own client
    description               what it says

Nothing is half done: a commit is whole before a branch moves, and each step that was done already is found as done.
"""
