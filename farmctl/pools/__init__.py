"""Mining at outside pools: `client` speaks stratum with one, `failover` keeps to the best of them
and gives its work to the farm's devices as the node gives its own."""
