"""Training: from a folder of pictures to batches, and from batches to an adapter."""
