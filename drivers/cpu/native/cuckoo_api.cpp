#include <algorithm>
#include <memory>
#include <new>

#include "cuckoo_lean.hpp"
#include "cuckoo_mean.hpp"
#include "isa.hpp"

using namespace farmcpu;

struct farmcpu_solver {
  uint32_t edge_bits, cycle;
  std::unique_ptr<GraphSolver> solver;
};

constexpr uint32_t kMaxThreads = 256;

uint32_t farmcpu_abi(void) { return FARMCPU_ABI; }

const char *farmcpu_isa(void) { return kernels().name; }

farmcpu_status farmcpu_use_isa(const char *name) {
  return use_isa(name) ? FARMCPU_OK : FARMCPU_NOT_SUPPORTED;
}

farmcpu_proof farmcpu_cuckoo_verify(const farmcpu_graph *graph, const uint32_t *edges,
                                    size_t count) {
  return verify(*graph, edges, count);
}

farmcpu_status farmcpu_siphash_block(const farmcpu_graph *graph, uint64_t edge,
                                     uint64_t words[64]) {
  if (!is_sound(*graph)) return FARMCPU_BAD_ARGUMENT;
  siphash_block(*graph, edge, words);
  return FARMCPU_OK;
}

uint64_t farmcpu_solver_bytes(uint32_t edge_bits, uint32_t cycle, farmcpu_method method,
                              uint32_t threads) {
  if (edge_bits < kMinEdgeBits || edge_bits > kMaxEdgeBits) return 0;
  if (cycle > CUCKOO_CUCKATOO || !threads || threads > kMaxThreads) return 0;
  return method == FARMCPU_MEAN ? MeanSolver::bytes(edge_bits, threads)
                                : least_lean_bytes(edge_bits, cycle, threads);
}

farmcpu_solver *farmcpu_solver_create(uint32_t edge_bits, uint32_t cycle, farmcpu_method method,
                                      uint32_t threads, uint64_t memory_limit_bytes) try {
  const uint64_t needed = farmcpu_solver_bytes(edge_bits, cycle, method, threads);
  if (!needed || needed > memory_limit_bytes) return nullptr;
  std::unique_ptr<GraphSolver> solver;
  if (method == FARMCPU_MEAN)
    solver = std::make_unique<MeanSolver>(edge_bits, threads);
  else
    solver = std::make_unique<LeanSolver>(
        plan_lean(edge_bits, cycle, threads, memory_limit_bytes));
  return new farmcpu_solver{edge_bits, cycle, std::move(solver)};
} catch (const std::bad_alloc &) {
  return nullptr;
}

void farmcpu_solver_free(farmcpu_solver *solver) { delete solver; }

farmcpu_status farmcpu_solve(farmcpu_solver *solver, const farmcpu_graph *graph,
                             const volatile int32_t *stop, uint32_t *cycles, size_t capacity,
                             size_t *found) try {
  *found = 0;
  if (!is_sound(*graph) || graph->edge_bits != solver->edge_bits ||
      graph->cycle != solver->cycle)
    return FARMCPU_BAD_ARGUMENT;
  auto solved = solver->solver->solve(*graph, stop);
  std::sort(solved.begin(), solved.end());
  *found = std::min(capacity, solved.size());
  for (size_t i = 0; i < *found; ++i)
    std::copy(solved[i].begin(), solved[i].end(), cycles + i * graph->proof_size);
  return FARMCPU_OK;
} catch (const Stopped &) {
  return FARMCPU_STOPPED;
} catch (const std::bad_alloc &) {
  return FARMCPU_NO_MEMORY;
}

uint64_t farmcpu_solver_survivors(const farmcpu_solver *solver, uint32_t round) {
  const auto &left = solver->solver->survivors();
  return round < left.size() ? left[round] : 0;
}

void farmcpu_solver_phases(const farmcpu_solver *solver, farmcpu_phases *phases) {
  *phases = solver->solver->phases();
}

farmcpu_status farmcpu_find_cycles(const uint32_t *ends, size_t count, uint32_t cycle,
                                   uint32_t length, uint32_t *cycles, size_t capacity,
                                   size_t *found) try {
  *found = 0;
  if (cycle > CUCKOO_CUCKATOO || length < 2 || length > kMaxProofSize || count > UINT32_MAX / 2)
    return FARMCPU_BAD_ARGUMENT;
  std::vector<Endpoints> edges(count);
  for (size_t i = 0; i < count; ++i) edges[i] = {ends[2 * i], ends[2 * i + 1]};
  const auto places = peel(edges, cycle);
  const auto all = find_cycles(edges, length, cycle);
  *found = std::min(capacity, all.size());
  for (size_t i = 0; i < *found; ++i)
    std::transform(all[i].begin(), all[i].end(), cycles + i * length,
                   [&](uint32_t e) { return places[e]; });
  return FARMCPU_OK;
} catch (const std::bad_alloc &) {
  return FARMCPU_NO_MEMORY;
}
