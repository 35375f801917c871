"""TLS: contexts, identity, sessions that resume, certificates that reload."""
