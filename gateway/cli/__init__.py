"""The command ``gateway``: its subcommands, and what they say."""
