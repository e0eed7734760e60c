"""What every other room stands on: whole files, workers, prefetch, the hub, process settings."""
