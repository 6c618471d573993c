"""The client's side: listeners, connections, exchanges."""
