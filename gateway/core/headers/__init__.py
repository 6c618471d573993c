"""Fields of requests and responses: which are ours, which go on, what is added."""
