"""What trains, samples and evaluates models."""
