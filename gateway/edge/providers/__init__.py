"""OpenID Connect providers: discovery, keys, tokens."""
