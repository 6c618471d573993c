"""The audit trail's chains: how entries are linked, and how a walk tells whether one was touched."""
