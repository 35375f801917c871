"""The client: a persistent pool, and what is decided about requests on their way."""
