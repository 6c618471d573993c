"""Settings of the proxies that ask for decisions and forward by themselves."""

from typing import Literal, TypeAlias

Asker: TypeAlias = Literal["nginx", "ingress-nginx", "traefik", "caddy", "haproxy", "envoy"]
"""A kind of proxy, by what it can ask and pass on."""
