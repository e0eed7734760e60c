"""The parts of Base, the network of the paper at full size."""
