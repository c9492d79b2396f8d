"""The parts that tests are driven with: real uv versions, real file systems, and a uv that does as it is told."""
