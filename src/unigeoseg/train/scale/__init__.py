"""Training at scale: processes, LoRA, activation checkpointing."""
