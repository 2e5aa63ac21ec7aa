"""What measures the running portal from outside; never part of the test run."""
