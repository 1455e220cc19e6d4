"""The programs in C of the benchmarks: a load generator and a floor, lean enough to measure by."""
