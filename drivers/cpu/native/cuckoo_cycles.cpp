#include <algorithm>
#include <numeric>

#include "cuckoo.hpp"

namespace farmcpu {
namespace {

using Index = std::uint32_t;
constexpr std::uint64_t kMaxSteps = std::uint64_t{1} << 26;

// The edges with nodes renumbered densely, u before v, and the edges at each node.
struct Dense {
  std::vector<Index> u, v;       // per edge
  std::vector<Index> first, at;  // edges at node n: at[first[n]] ... at[first[n + 1] - 1]

  explicit Dense(const std::vector<Endpoints> &edges) {
    const Index nodes_u = rename(edges, &Endpoints::u, 0, u);
    const Index nodes = rename(edges, &Endpoints::v, nodes_u, v);
    first.assign(nodes + 1, 0);
    for (const auto *side : {&u, &v})
      for (Index node : *side) ++first[node + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    at.resize(2 * edges.size());
    std::vector<Index> next(first.begin(), first.end() - 1);
    for (const auto *side : {&u, &v})
      for (Index e = 0; e < side->size(); ++e) at[next[(*side)[e]]++] = e;
  }

  Index across(Index edge, Index node) const { return u[edge] ^ v[edge] ^ node; }

 private:
  static Index rename(const std::vector<Endpoints> &edges, std::uint32_t Endpoints::*end,
                      Index base, std::vector<Index> &dense) {
    std::vector<std::uint32_t> nodes;
    nodes.reserve(edges.size());
    for (const auto &e : edges) nodes.push_back(e.*end);
    std::sort(nodes.begin(), nodes.end());
    nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
    dense.reserve(edges.size());
    for (const auto &e : edges) {
      const auto place = std::lower_bound(nodes.begin(), nodes.end(), e.*end);
      dense.push_back(base + static_cast<Index>(place - nodes.begin()));
    }
    return base + static_cast<Index>(nodes.size());
  }
};

// Depth-first search for the cycles whose lowest edge is `root`.
class Search {
 public:
  Search(const Dense &graph, Index length, std::vector<std::vector<Index>> &cycles)
      : graph_(graph), length_(length), visited_(graph.first.size()), cycles_(cycles) {}

  void from(Index root) {
    root_ = root;
    goal_ = graph_.u[root];
    path_.assign(1, root);
    visited_[graph_.v[root]] = true;
    extend(graph_.v[root]);
    visited_[graph_.v[root]] = false;
  }

 private:
  void extend(Index node) {  // recursion is no deeper than the cycle is long
    for (Index k = graph_.first[node]; k < graph_.first[node + 1]; ++k) {
      const Index edge = graph_.at[k];
      if (edge <= root_ || edge == path_.back() || ++steps_ > kMaxSteps) continue;
      const Index next = graph_.across(edge, node);
      if (next == goal_) {
        if (path_.size() + 1 == length_) report(edge);
      } else if (path_.size() + 1 < length_ && !visited_[next]) {
        path_.push_back(edge);
        visited_[next] = true;
        extend(next);
        visited_[next] = false;
        path_.pop_back();
      }
    }
  }

  void report(Index closing) {
    auto cycle = path_;
    cycle.push_back(closing);
    std::sort(cycle.begin(), cycle.end());
    cycles_.push_back(std::move(cycle));
  }

  const Dense &graph_;
  Index length_, root_ = 0, goal_ = 0;
  std::vector<bool> visited_;
  std::vector<Index> path_;
  std::vector<std::vector<Index>> &cycles_;
  std::uint64_t steps_ = 0;
};

}  // namespace

std::vector<std::uint32_t> peel(std::vector<Endpoints> &edges) {
  const Dense graph(edges);
  const std::size_t nodes = graph.first.size() - 1;
  std::vector<Index> degree(nodes), edge_xor(nodes);
  for (Index n = 0; n < nodes; ++n)
    for (Index k = graph.first[n]; k < graph.first[n + 1]; ++k) {
      ++degree[n];
      edge_xor[n] ^= graph.at[k];
    }
  std::vector<bool> dropped(edges.size());
  for (Index start = 0; start < nodes; ++start)
    for (Index n = start; degree[n] == 1;) {  // follow the chain of leaves inwards
      const Index edge = edge_xor[n], far = graph.across(edge, n);
      dropped[edge] = true;
      degree[n] = 0;
      --degree[far];
      edge_xor[far] ^= edge;
      n = far;
    }
  std::vector<Index> kept;
  for (Index e = 0; e < edges.size(); ++e)
    if (!dropped[e]) {
      edges[kept.size()] = edges[e];
      kept.push_back(e);
    }
  edges.resize(kept.size());
  return kept;
}

std::vector<std::vector<std::uint32_t>> find_cycles(const std::vector<Endpoints> &edges,
                                                    std::uint32_t length) {
  std::vector<std::vector<Index>> cycles;
  const Dense graph(edges);
  Search search(graph, length, cycles);
  for (Index root = 0; root < edges.size(); ++root) search.from(root);
  return cycles;
}

}  // namespace farmcpu
