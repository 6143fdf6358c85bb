"""The labeling studio without its pages: people, tasks, leases, labels, in one database. Does not need torch."""
