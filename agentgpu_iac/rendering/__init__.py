"""Plan in, Kubernetes manifests out: templates print, nothing here decides."""
