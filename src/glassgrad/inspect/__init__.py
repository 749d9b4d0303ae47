"""Looking into networks and runs: pictures, and what later rooms add."""
