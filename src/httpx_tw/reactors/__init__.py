"""Event loops: pollers over the kernel, and Twisted reactors over the pollers."""
