"""The upstreams' side: origins, pools, connections, health."""
