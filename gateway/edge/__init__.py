"""All I/O beside the data plane: providers, store, admin listener, metrics, logs, pages."""
