// From the ends of edges back to their numbers.
#pragma once

#include "cuckoo.hpp"

namespace farmcpu {

// Number of each of the edges, found by hashing the whole graph again on so many threads. Several
// edges between the same two nodes get theirs in turn. Throws Stopped.
std::vector<std::uint32_t> recover(const farmcpu_graph &graph, const volatile std::int32_t *stop,
                                   std::uint32_t threads, const std::vector<Endpoints> &edges);

// The cycles among `left`, the edges that trimming left over: each as its edges' numbers,
// ascending and verified. Seconds that it takes are added to `phases`. Throws Stopped.
std::vector<std::vector<std::uint32_t>> cycles_among(const farmcpu_graph &graph,
                                                     const volatile std::int32_t *stop,
                                                     std::uint32_t threads,
                                                     std::vector<Endpoints> left,
                                                     farmcpu_phases &phases);

}  // namespace farmcpu
