"""What several rooms share: functions that are compiled into their kernels, and the cuts and launches of these."""
