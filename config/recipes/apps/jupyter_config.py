"""Jupyter Server behind Token Gateway: whoever has the token is called what X-Forwarded-User says."""

from jupyter_server.auth.identity import IdentityProvider, User

c = get_config()  # noqa: F821 - Jupyter runs this file with it


class Told(IdentityProvider):
    """The token is the gateway's, the name is whose request it forwards."""

    async def get_user(self, handler):
        """Return who calls; None, which is refused, for whoever has not the gateway's token."""
        if await self.get_user_token(handler) is None:
            return None
        name = handler.request.headers.get("X-Forwarded-User")
        return User(username=name) if name else None


c.ServerApp.identity_provider_class = Told
# asked by the name of the site it would answer 403 while it listens on 127.0.0.1; the gateway knows its hosts
c.ServerApp.allow_remote_access = True
