"""OAuth 2.0 and OpenID Connect messages as pairs: build the request, process the response. Pure."""
