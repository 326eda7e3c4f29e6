"""Grading; here is what a worker and its caller share."""

IDLE = 0  # the number of no request
KILLED = "killed"  # a worker's status that is no verdict: the request is to be asked again
