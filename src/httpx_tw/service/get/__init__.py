"""``httpx-tw get URL``: a request from the command line, and all about its answer."""
