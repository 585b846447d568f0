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
  std::vector<Index> mate;       // per node: the one whose edges meet this one's, or `absent`
  std::vector<Index> first, at;  // edges at node n: at[first[n]] ... at[first[n + 1] - 1]
  Index absent;                  // a node without edges

  Dense(const std::vector<Endpoints> &edges, std::uint32_t pair) {
    rename(edges, &Endpoints::u, pair, u);
    rename(edges, &Endpoints::v, pair, v);
    absent = static_cast<Index>(mate.size());
    for (Index &node : mate) node = std::min(node, absent);
    first.assign(absent + 2, 0);
    for (const auto *side : {&u, &v})
      for (Index node : *side) ++first[node + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    at.resize(2 * edges.size());
    std::vector<Index> next(first.begin(), first.end() - 1);
    for (const auto *side : {&u, &v})
      for (Index e = 0; e < side->size(); ++e) at[next[(*side)[e]]++] = e;
  }

  Index across(Index edge, Index node) const { return u[edge] ^ v[edge] ^ node; }
  // Where edges meet: a node, or a pair of nodes.
  Index place(Index node) const { return std::min(node, mate[node]); }

 private:
  void rename(const std::vector<Endpoints> &edges, std::uint32_t Endpoints::*end,
              std::uint32_t pair, std::vector<Index> &dense) {
    const auto base = static_cast<Index>(mate.size());
    std::vector<std::uint32_t> nodes;
    nodes.reserve(edges.size());
    for (const auto &e : edges) nodes.push_back(e.*end);
    std::sort(nodes.begin(), nodes.end());
    nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
    const auto number = [&](std::uint32_t node) {
      const auto there = std::lower_bound(nodes.begin(), nodes.end(), node);
      if (there == nodes.end() || *there != node) return ~Index{0};
      return base + static_cast<Index>(there - nodes.begin());
    };
    for (std::uint32_t node : nodes) mate.push_back(number(node ^ pair));
    dense.reserve(edges.size());
    for (const auto &e : edges) dense.push_back(number(e.*end));
  }
};

// Depth-first search for the cycles whose lowest edge is `root`.
class Search {
 public:
  Search(const Dense &graph, Index length, std::vector<std::vector<Index>> &cycles)
      : graph_(graph), length_(length), visited_(graph.mate.size()), cycles_(cycles) {}

  void from(Index root) {
    const Index start = graph_.place(graph_.u[root]), end = graph_.v[root];
    root_ = root;
    goal_ = graph_.mate[graph_.u[root]];
    path_.assign(1, root);
    visited_[start] = visited_[graph_.place(end)] = true;
    extend(graph_.mate[end]);
    visited_[start] = visited_[graph_.place(end)] = false;
  }

 private:
  void extend(Index node) {  // recursion is no deeper than the cycle is long
    for (Index k = graph_.first[node]; k < graph_.first[node + 1]; ++k) {
      const Index edge = graph_.at[k];
      if (edge <= root_ || edge == path_.back() || ++steps_ > kMaxSteps) continue;
      const Index next = graph_.across(edge, node);
      if (next == goal_) {
        if (path_.size() + 1 == length_) report(edge);
      } else if (path_.size() + 1 < length_ && !visited_[graph_.place(next)]) {
        path_.push_back(edge);
        visited_[graph_.place(next)] = true;
        extend(graph_.mate[next]);
        visited_[graph_.place(next)] = false;
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

std::vector<std::uint32_t> peel(std::vector<Endpoints> &edges, std::uint32_t pair) {
  const Dense graph(edges, pair);
  const Index alone = pair ? 0 : 1;  // edges at a node that leave its mate's without another
  std::vector<Index> degree(graph.absent + 1), doomed;
  for (Index n = 0; n < graph.absent; ++n) degree[n] = graph.first[n + 1] - graph.first[n];
  for (Index e = 0; e < edges.size(); ++e)
    for (Index node : {graph.u[e], graph.v[e]})
      if (degree[graph.mate[node]] <= alone) doomed.push_back(e);
  std::vector<bool> dropped(edges.size());
  while (!doomed.empty()) {
    const Index edge = doomed.back();
    doomed.pop_back();
    if (dropped[edge]) continue;
    dropped[edge] = true;
    for (Index node : {graph.u[edge], graph.v[edge]}) {
      if (--degree[node] != alone) continue;
      const Index mate = graph.mate[node];
      for (Index k = graph.first[mate]; k < graph.first[mate + 1]; ++k)
        doomed.push_back(graph.at[k]);
    }
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
                                                    std::uint32_t length, std::uint32_t pair) {
  std::vector<std::vector<Index>> cycles;
  const Dense graph(edges, pair);
  Search search(graph, length, cycles);
  for (Index root = 0; root < edges.size(); ++root) search.from(root);
  return cycles;
}

}  // namespace farmcpu
