"""What predictors know of a network without timing it: sums over its layers, its genes as numbers."""
