"""Free runs of a candidate: how they are made, judged and differentiated."""
