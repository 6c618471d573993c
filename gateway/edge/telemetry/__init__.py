"""What is told of requests: metrics and logs."""
