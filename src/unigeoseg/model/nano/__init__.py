"""The parts of Nano, the small network."""
