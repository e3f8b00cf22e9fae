"""Many trainings of one config with other values of some keys, chosen by Optuna from the results so far."""
