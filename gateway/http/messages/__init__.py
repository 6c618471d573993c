"""HTTP/1 messages: heads, bodies, frames. No sockets."""
