"""The data plane: HTTP/1.1 on asyncio protocols, bytes in and bytes out."""
