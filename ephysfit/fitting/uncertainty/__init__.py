"""What a fit leaves open: intervals, profiles, the surface of the likelihood."""
