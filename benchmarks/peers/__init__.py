"""numsnn and its peers, each in a process of its own, and whether they compute the same."""
