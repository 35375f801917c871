"""What the benchmark scripts have in common. Each module knows one thing."""
