"""What every room stands on: errors, atomic files, child processes, the registry."""
