// Hashing edges and sorting them by u. Included by mean_kernels.cpp alone, within the namespace of
// an instruction set.
//
// Sorting is loads and stores, hashing is arithmetic: entries of the step before are written
// between the rounds of this one, so that a processor does both at once.

typedef uint64_t Vector __attribute__((vector_size(FARMCPU_VECTOR_BYTES)));
constexpr size_t kWidth = FARMCPU_VECTOR_BYTES / sizeof(uint64_t);
// Vectors in flight hide the latency of the rounds.
constexpr size_t kVectors = 2;
constexpr size_t kLanes = kVectors * kWidth;
constexpr size_t kBlockEdges = CUCKOO_BLOCK_EDGES;
static_assert(kMeanGroupEdges % (kLanes * kBlockEdges) == 0);

struct State {
  Vector v0[kVectors], v1[kVectors], v2[kVectors], v3[kVectors];

  void begin(const uint64_t keys[4]) {
    for (size_t k = 0; k < kVectors; ++k) {
      v0[k] = Vector{} + keys[0];
      v1[k] = Vector{} + keys[1];
      v2[k] = Vector{} + keys[2];
      v3[k] = Vector{} + keys[3];
    }
  }
  [[gnu::always_inline]] void round() {
    for (size_t k = 0; k < kVectors; ++k) CUCKOO_SIP_ROUND(v0[k], v1[k], v2[k], v3[k]);
  }
  Vector word(size_t k) const { return (v0[k] ^ v1[k]) ^ (v2[k] ^ v3[k]); }
};

template <int kCount>
struct Rounds {};

// What entries a graph's words become.
template <bool kPair>
struct Sorter {
  MeanShape shape;
  Vector mask;

  explicit Sorter(const MeanShape &s) : shape(s), mask(Vector{} + cuckoo_mask(s.edge_bits)) {}

  // u in the low, v in the high half; bits beyond a node's are anything.
  Vector sort(Vector words) const {
    const uint32_t key_bits = shape.key_bits;
    if constexpr (kPair) words = move_pair_bit(words);
    const Vector key = words << (64 - shape.edge_bits) >> (64 - key_bits);
    return key | ((words >> 32) & mask) << key_bits | words << (64 - shape.bucket_bits());
  }

 private:
  Vector move_pair_bit(Vector words) const {
    const uint64_t low = (uint64_t{1} << shape.bucket_bits()) - 1;
    const Vector lows = Vector{} + (low << 32 | low);
    const Vector ones = Vector{} + (uint64_t{1} << 32 | 1);
    const Vector highs = ~(lows | ones << shape.bucket_bits());
    return (words & highs) | ((words >> 1) & lows) | (words & ones) << shape.bucket_bits();
  }
};

// The entries of one step, and how far they are written.
template <size_t kEntryBytes>
struct Writer {
  MeanLists lists;
  uint32_t bucket_shift;
  size_t next = kLanes;
  alignas(64) uint64_t sorted[kLanes];

  void set(size_t k, Vector entries) {
    __builtin_memcpy(sorted + k * kWidth, &entries, sizeof entries);
  }
  [[gnu::always_inline]] void write(size_t count) {
#pragma GCC unroll 4
    for (size_t i = 0; i < count; ++i)
      push<kEntryBytes>(lists, bucket_shift, sorted[next + i]);
    next += count;
  }
  [[gnu::always_inline]] void write_rest() { write(kLanes - next); }
};

// Rounds kBefore ... kBefore+kRounds-1 of kTotal, over which the writing is spread; no writing if
// kTotal is 0. If kRounds is 0, `rounds` says how many, and nothing is written.
template <int kRounds, int kBefore, int kTotal, size_t kEntryBytes>
[[gnu::always_inline]] inline void mix(State &state, uint32_t rounds,
                                       Writer<kEntryBytes> &writer) {
  if constexpr (kRounds == 0) {
    for (uint32_t r = 0; r < rounds; ++r) state.round();
  } else {
#pragma GCC unroll 16
    for (int r = kBefore; r < kBefore + kRounds; ++r) {
      state.round();
      if constexpr (kTotal > 0)
        writer.write(kLanes * size_t(r + 1) / kTotal - kLanes * size_t(r) / kTotal);
    }
  }
}

template <int kCompression, int kFinalisation, int kBefore, int kTotal, size_t kEntryBytes>
[[gnu::always_inline]] inline void hash(State &state, const Vector *input,
                                        const farmcpu_graph &graph,
                                        Writer<kEntryBytes> &writer) {
  for (size_t k = 0; k < kVectors; ++k) state.v3[k] ^= input[k];
  mix<kCompression, kBefore, kTotal>(state, graph.compression_rounds, writer);
  for (size_t k = 0; k < kVectors; ++k) {
    state.v0[k] ^= input[k];
    state.v2[k] ^= Vector{} + 0xff;
  }
  mix<kFinalisation, kBefore + kCompression, kTotal>(state, graph.finalisation_rounds, writer);
}

inline Vector lanes_from(uint64_t first, uint64_t step) {
  uint64_t lanes[kWidth];
  for (size_t i = 0; i < kWidth; ++i) lanes[i] = first + i * step;
  Vector vector;
  __builtin_memcpy(&vector, lanes, sizeof lanes);
  return vector;
}

// Blocks of Cuckaroo side by side. A block's words are final once its last is known: each is
// taken from `words` and written while the next block's takes its place.
template <size_t kEntryBytes, int kCompression, int kFinalisation>
void generate_blocks(const farmcpu_graph &graph, const MeanShape &shape, uint64_t first,
                     uint64_t last_edge, const MeanLists &lists) {
  constexpr int kTotal = kCompression + kFinalisation;
  const Sorter<false> sorter(shape);
  Writer<kEntryBytes> writer{lists, 64 - shape.bucket_bits(), kLanes, {}};
  alignas(64) Vector words[kBlockEdges][kVectors];
  Vector last[kVectors] = {}, input[kVectors];
  const auto take = [&](size_t i) {
    for (size_t k = 0; k < kVectors; ++k) {
      const Vector word = i + 1 < kBlockEdges ? words[i][k] ^ last[k] : words[i][k];
      writer.set(k, sorter.sort(word));
    }
    writer.next = 0;
  };
  for (uint64_t edge = first; edge < last_edge; edge += kLanes * kBlockEdges) {
    State state;
    state.begin(graph.keys);
    for (size_t k = 0; k < kVectors; ++k)
      input[k] = lanes_from(edge + k * kWidth * kBlockEdges, kBlockEdges);
    for (size_t i = 0; i < kBlockEdges; ++i) {
      if (edge == first) {
        hash<kCompression, kFinalisation, 0, 0>(state, input, graph, writer);
      } else {
        take(i);
        hash<kCompression, kFinalisation, 0, kTotal>(state, input, graph, writer);
        writer.write_rest();
      }
      for (size_t k = 0; k < kVectors; ++k) {
        words[i][k] = state.word(k);
        input[k] += Vector{} + 1;
      }
    }
    for (size_t k = 0; k < kVectors; ++k) last[k] = words[kBlockEdges - 1][k];
  }
  for (size_t i = 0; i < kBlockEdges; ++i) {
    take(i);
    writer.write_rest();
  }
}

template <int kCompression, int kFinalisation, int kBefore, int kTotal, size_t kEntryBytes>
[[gnu::always_inline]] inline void hash_nodes(const Vector *input, const farmcpu_graph &graph,
                                              Writer<kEntryBytes> &writer, Vector *words) {
  State state;
  state.begin(graph.keys);
  hash<kCompression, kFinalisation, kBefore, kTotal>(state, input, graph, writer);
  for (size_t k = 0; k < kVectors; ++k) words[k] = state.word(k);
}

// Nodes of Cuckatoo, each hashed by itself.
template <size_t kEntryBytes, int kCompression, int kFinalisation>
void generate_nodes(const farmcpu_graph &graph, const MeanShape &shape, uint64_t first,
                    uint64_t last, const MeanLists &lists) {
  constexpr int kTotal = 2 * (kCompression + kFinalisation);
  const Sorter<true> sorter(shape);
  const Vector low = Vector{} + 0xffffffff;
  Writer<kEntryBytes> writer{lists, 64 - shape.bucket_bits(), kLanes, {}};
  const auto step = [&]<int kWritten>(uint64_t edge, Rounds<kWritten>) {
    Vector words[kVectors], others[kVectors], input[kVectors];
    for (size_t k = 0; k < kVectors; ++k) input[k] = lanes_from(2 * (edge + k * kWidth), 2);
    hash_nodes<kCompression, kFinalisation, 0, kWritten>(input, graph, writer, words);
    for (size_t k = 0; k < kVectors; ++k) input[k] += Vector{} + 1;
    hash_nodes<kCompression, kFinalisation, kTotal / 2, kWritten>(input, graph, writer, others);
    writer.write_rest();
    for (size_t k = 0; k < kVectors; ++k) writer.set(k, sorter.sort((words[k] & low) | others[k] << 32));
    writer.next = 0;
  };
  step(first, Rounds<0>{});
  for (uint64_t edge = first + kLanes; edge < last; edge += kLanes) step(edge, Rounds<kTotal>{});
  writer.write_rest();
}

template <size_t kEntryBytes, int kCompression, int kFinalisation>
void generate_with(const farmcpu_graph &graph, const MeanShape &shape, uint64_t first,
                   uint64_t last, const MeanLists &lists) {
  const auto run = shape.pair ? generate_nodes<kEntryBytes, kCompression, kFinalisation>
                              : generate_blocks<kEntryBytes, kCompression, kFinalisation>;
  run(graph, shape, first, last, lists);
}

// The rounds in use are unrolled; 0 stands for any.
template <size_t kEntryBytes>
void generate_entries(const farmcpu_graph &graph, const MeanShape &shape, uint64_t first,
                      uint64_t last, const MeanLists &lists) {
  const uint32_t rounds = graph.compression_rounds * 16 + graph.finalisation_rounds;
  const auto run = rounds == 2 * 16 + 4   ? generate_with<kEntryBytes, 2, 4>
                   : rounds == 4 * 16 + 8 ? generate_with<kEntryBytes, 4, 8>
                                          : generate_with<kEntryBytes, 0, 0>;
  run(graph, shape, first, last, lists);
}

void generate(const farmcpu_graph &graph, const MeanShape &shape, uint64_t first, uint64_t last,
              const MeanLists &lists) {
  const auto run = shape.entry_bytes == 6 ? generate_entries<6> : generate_entries<7>;
  run(graph, shape, first, last, lists);
}
