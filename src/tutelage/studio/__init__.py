"""The labeling studio without its pages: people, tasks, leases, labels, in one database. Starts without torch."""
