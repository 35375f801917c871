"""HTTP/1.1 and HTTP/1.0 without I/O: bytes in, events out; no clock, no socket."""
