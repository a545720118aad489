"""Models from published measurements that the user imported, trained once and kept."""
