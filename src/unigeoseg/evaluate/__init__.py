"""The benchmark: metrics, suites, baselines, evaluation. A predictor is only a callable."""
