"""Plan in, the files of its target out: templates print, nothing here decides.

``render`` makes the files in memory (a Kustomize tree, the files of virtual machines, or SkyServe's services), ``write``
puts them into a folder that it owns, ``validate`` checks them: manifests against the schemas of a Kubernetes
version. The modules in between hold one noun each::

    stack  engine  model_cache  sharing  karpenter  kustomize
    network_policy  secrets  gitops                               what is in the tree: Plan -> contexts
    hosts  skyserve                                               the other targets: Plan -> contexts -> files
    context  names                                                what those share
    templates  yaml_text  manifest  sync_waves                    context -> text -> checked object -> text

To add a kind of object (a PodDisruptionBudget, say): write its template and its context, and return it from the
module whose noun it belongs to. Kustomize lists it by itself.
"""
