"""The request methods that servers commonly know (RFC 9110 section 9, IANA's registry)."""

from typing import Final

METHODS: Final = frozenset(
    b"ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE "
    b"OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNLINK "
    b"UNLOCK".split()
)
"""Those of the registry; PRI, ICE, RTSP, UPnP: other protocols."""
