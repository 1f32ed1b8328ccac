"""EKS on AWS: network, cluster, node pools, and what runs beside them."""
