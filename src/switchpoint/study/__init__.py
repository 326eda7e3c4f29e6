"""A study: its configuration, what it expands to, its jobs and their names."""
