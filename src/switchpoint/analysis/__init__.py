"""What runs say: phases, ceilings, ranking, prediction, advice."""
