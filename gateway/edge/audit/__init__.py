"""The audit trail in the store: written behind everybody's back, read and forgotten on demand."""
