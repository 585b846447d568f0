"""Mining at outside pools: a `client` for each protocol (`cortex`, `grin`) over a `connection`;
`failover` keeps to the best of them and gives its work to the farm's devices as the node gives its
own."""
