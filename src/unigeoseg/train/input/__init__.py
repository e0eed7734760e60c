"""Input of training: cached patches, crops, sampled instructions, batches."""
