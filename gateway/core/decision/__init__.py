"""The words of a decision: what it knows, what it lacks, what it answers."""
