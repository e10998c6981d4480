"""Do the synthetic images help? Arms of equal cost, paired seeds, intervals, and a verdict."""
