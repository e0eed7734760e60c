"""Numerical parity with the released code."""
