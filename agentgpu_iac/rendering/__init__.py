"""Plan in, Kubernetes manifests out: templates print, nothing here decides.

``render`` makes a Kustomize tree in memory, ``write`` puts it into a folder that it owns, ``validate`` checks it
against the schemas of a Kubernetes version. The modules in between hold one noun each::

    stack  engine  model_cache  sharing  karpenter  kustomize
    network_policy  secrets  gitops                               what is in the tree: Plan -> contexts
    context  names                                                what those share
    templates  yaml_text  manifest  sync_waves                    context -> text -> checked object -> text

To add a kind of object (a PodDisruptionBudget, say): write its template and its context, and return it from the
module whose noun it belongs to. Kustomize lists it by itself.
"""
