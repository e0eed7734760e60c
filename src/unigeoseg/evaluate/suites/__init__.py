"""Benchmark suites: their files read as samples."""
