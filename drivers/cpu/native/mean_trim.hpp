// One bucket of a trimming round. Included by mean_kernels.cpp alone, within the namespace of an
// instruction set.

// An entry as a number; bits above the far node are anything.
inline uint64_t load_entry(const uint8_t *entry) {
  uint64_t bits;
  __builtin_memcpy(&bits, entry, sizeof bits);
  return bits;
}

inline uint32_t key_of(uint64_t entry, const MeanShape &shape) {
  return static_cast<uint32_t>(entry) & ((1u << shape.key_bits) - 1);
}

// The entry of the same edge in lists sorted by its far node, its bucket in the top bits; `key`
// and `bucket` are those of its near node.
inline uint64_t turn(uint64_t entry, uint32_t key, uint32_t bucket, const MeanShape &shape) {
  const uint64_t near = uint64_t{key} << shape.bucket_bits() | bucket;
  const uint64_t far = entry >> shape.key_bits << (64 - shape.edge_bits);
  const uint64_t both = far | near;
  return both << shape.key_bits | both >> (64 - shape.key_bits);
}

// Fetches the lines of the next chunk while this one is looked at: chunks lie anywhere, so that
// the processor cannot tell where the next begins. kNearness is that of __builtin_prefetch.
template <int kNearness>
struct Ahead {
  const uint8_t *line;
  explicit Ahead(const uint8_t *end) : line(end - kChunkBytes) { __builtin_prefetch(end); }
  void fetch(size_t lines) {
    for (size_t i = 0; i < lines; ++i) __builtin_prefetch(line + i * 64, 0, kNearness);
    line += lines * 64;
  }
};

template <typename Table, size_t kEntryBytes>
void count_chunk(const uint8_t *entry, uint32_t count, const uint8_t *older, uint32_t mask,
                 uint8_t *counters) {
  constexpr uint32_t kStep = 32;
  constexpr size_t kLines = kStep * kEntryBytes / 64 + 1;
  const auto count_one = [&](const uint8_t *at) {
    uint32_t low;
    __builtin_memcpy(&low, at, sizeof low);
    Table::count(counters, low & mask);
  };
  Ahead<3> ahead(older ? older : entry + kChunkBytes);
  uint32_t i = 0;
  for (; i + kStep <= count; i += kStep, entry += kStep * kEntryBytes) {
    ahead.fetch(kLines);
#pragma GCC unroll 32
    for (uint32_t j = 0; j < kStep; ++j) count_one(entry + j * kEntryBytes);
  }
  for (; i < count; ++i, entry += kEntryBytes) count_one(entry);
}

#if defined(__AVX512BW__)
// Entries 0 ... 7 from `at` on, each in 64 bits.
template <size_t kEntryBytes>
inline __m512i load_entries(const uint8_t *at) {
  alignas(64) static constexpr auto words = [] {
    struct { uint16_t at[32]; } table{};
    for (int i = 0; i < 32; ++i)
      table.at[i] = static_cast<uint16_t>(i / 4 * kEntryBytes / 2 + i % 4);
    return table;
  }();
  const __m512i spread = _mm512_permutexvar_epi16(_mm512_load_si512(&words), _mm512_loadu_si512(at));
  if constexpr (kEntryBytes % 2 == 0) return spread;
  return _mm512_srlv_epi64(spread, _mm512_set_epi64(8, 0, 8, 0, 8, 0, 8, 0));
}

struct Turner {
  __m512i key_mask, far_mask, bucket, rotation;
  __m128i near_shift, far_shift;

  Turner(const MeanShape &shape, uint32_t b)
      : key_mask(_mm512_set1_epi64((1ll << shape.key_bits) - 1)),
        far_mask(_mm512_set1_epi64(-1ll << (64 - shape.edge_bits))),
        bucket(_mm512_set1_epi64(b)),
        rotation(_mm512_set1_epi64(shape.key_bits)),
        near_shift(_mm_cvtsi32_si128(static_cast<int>(shape.bucket_bits()))),
        far_shift(_mm_cvtsi32_si128(static_cast<int>(64 - shape.key_bits - shape.edge_bits))) {}

  __m512i turn(__m512i entries) const {
    const __m512i key = _mm512_sll_epi64(_mm512_and_si512(entries, key_mask), near_shift);
    const __m512i far = _mm512_sll_epi64(entries, far_shift);
    const __m512i both =
        _mm512_ternarylogic_epi64(far_mask, far, _mm512_or_si512(key, bucket), 0xca);
    return _mm512_rolv_epi64(both, rotation);
  }
};

template <typename Table, size_t kEntryBytes>
uint32_t select(const uint8_t *entry, uint32_t count, const uint8_t *older,
                const MeanShape &shape, uint32_t bucket, const uint8_t *counters,
                uint64_t *kept) {
  Ahead<2> ahead(older ? older : entry + kChunkBytes);
  const Turner turner(shape, bucket);
  const __m512i lows = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i mask = _mm512_set1_epi32((1 << shape.key_bits) - 1);
  uint64_t *to = kept;
  for (uint32_t i = 0; i < count; i += 16, entry += 16 * kEntryBytes) {
    ahead.fetch(2);
    const __m512i low = load_entries<kEntryBytes>(entry);
    const __m512i high = load_entries<kEntryBytes>(entry + 8 * kEntryBytes);
    const __m512i keys = _mm512_and_si512(_mm512_permutex2var_epi32(low, lows, high), mask);
    uint32_t keep = Table::meets(counters, keys);
    if (count - i < 16) keep &= (1u << (count - i)) - 1;
    const auto append = [&](__m512i entries, uint32_t which) {
      const auto packed =
          _mm512_maskz_compress_epi64(static_cast<__mmask8>(which), turner.turn(entries));
      _mm512_storeu_si512(to, packed);
      to += __builtin_popcount(which);
    };
    append(low, keep & 0xff);
    append(high, keep >> 8);
  }
  return static_cast<uint32_t>(to - kept);
}
#else
template <typename Table, size_t kEntryBytes>
uint32_t select(const uint8_t *entry, uint32_t count, const uint8_t *,
                const MeanShape &shape, uint32_t bucket, const uint8_t *counters,
                uint64_t *kept) {
  uint32_t to = 0;
  for (uint32_t i = 0; i < count; ++i, entry += kEntryBytes) {
    const uint64_t bits = load_entry(entry);
    const uint32_t key = key_of(bits, shape);
    kept[to] = turn(bits, key, bucket, shape);
    to += Table::meets(counters, key);  // no branch: nobody could predict it
  }
  return to;
}
#endif

// One bucket at a time: its memory and where its edges come from.
template <typename Table, size_t kEntryBytes>
struct BucketTrim {
  MeanShape shape;
  MeanScratch scratch;
  const MeanLists *from;
  uint32_t threads, bucket;
  MeanLists to;

  void count() const {
    const uint32_t mask = (1u << shape.key_bits) - 1;
    __builtin_memset(scratch.counters, 0, Table::bytes(scratch.keys));
    for (uint32_t t = 0; t < threads; ++t)
      for_each_chunk<kEntryBytes>(
          from[t].cursors[bucket],
          [&](const uint8_t *entry, uint32_t count, uint8_t *older, uint8_t *) {
            count_chunk<Table, kEntryBytes>(entry, count, older, mask, scratch.counters);
          });
  }

  // `select_from(entry, count, older)` leaves in scratch.kept what goes on, and says how much.
  template <typename Select>
  uint64_t move(Select select_from) const {
    uint64_t left = 0;
    const uint32_t bucket_shift = 64 - shape.bucket_bits();
    const MeanLists lists = to;
    uint64_t *const kept = scratch.kept;
    for (uint32_t t = 0; t < threads; ++t)
      for_each_chunk<kEntryBytes>(
          from[t].cursors[bucket],
          [&](const uint8_t *entry, uint32_t count, uint8_t *older, uint8_t *end) {
            const uint32_t moved = select_from(entry, count, older);
            give_chunk(*lists.pool, end);
            for (uint32_t i = 0; i < moved; ++i) push<kEntryBytes>(lists, bucket_shift, kept[i]);
            left += moved;
          });
    return left;
  }

  uint64_t trim() const {
    count();
    return move([&](const uint8_t *entry, uint32_t count, const uint8_t *older) {
      return select<Table, kEntryBytes>(entry, count, older, shape, bucket, scratch.counters,
                                        scratch.kept);
    });
  }

  // Names are a sparse set: what scratch.names holds is one if keys[] agrees, so that nothing has
  // to be cleared.
  uint64_t trim_and_name(uint32_t *keys, uint32_t *named) const {
    const uint32_t near_key = shape.key_bits + shape.bucket_bits();  // its place in an edge moved
    const uint32_t mask = (1u << shape.key_bits) - 1;
    uint32_t count_named = 0;
    const auto rename = [&](uint64_t &edge) {
      const uint32_t key = static_cast<uint32_t>(edge >> near_key) & mask;
      const uint32_t old = key | shape.pair;
      const uint32_t guess = scratch.names[old] < count_named ? scratch.names[old] : 0;
      const bool known = count_named > 0 && keys[guess] == old;
      const uint32_t name = known ? guess : count_named;
      keys[name] = old;
      scratch.names[old] = name;
      count_named += !known;
      const uint32_t fresh = name << shape.pair | (key & shape.pair);
      edge ^= uint64_t{key ^ fresh} << near_key;
    };
    count();
    const uint64_t left = move([&](const uint8_t *entry, uint32_t count, const uint8_t *older) {
      const uint32_t kept = select<Table, kEntryBytes>(entry, count, older, shape, bucket,
                                                       scratch.counters, scratch.kept);
      for (uint32_t i = 0; i < kept; ++i) rename(scratch.kept[i]);
      return kept;
    });
    *named = count_named;
    return left;
  }
};

// Calls use(BucketTrim) with the table and the entries that the shape asks for.
template <typename Use>
uint64_t with_table(const MeanShape &shape, const MeanScratch &scratch, const MeanLists *from,
                    uint32_t threads, uint32_t bucket, const MeanLists &to, Use use) {
  const auto run = [&]<typename Table>(Table) {
    if (shape.entry_bytes == 6)
      return use(BucketTrim<Table, 6>{shape, scratch, from, threads, bucket, to});
    return use(BucketTrim<Table, 7>{shape, scratch, from, threads, bucket, to});
  };
  if (shape.pair) return run(PairTable{});
  if (scratch.keys > kMostByteKeys) return run(TwoBitTable{});
  return run(ByteTable{});
}

uint64_t trim(const MeanShape &shape, const MeanScratch &scratch, const MeanLists *from,
              uint32_t threads, uint32_t bucket, const MeanLists &to) {
  return with_table(shape, scratch, from, threads, bucket, to,
                    [](const auto &bucket_trim) { return bucket_trim.trim(); });
}

uint64_t trim_and_name(const MeanShape &shape, const MeanScratch &scratch, const MeanLists *from,
                       uint32_t threads, uint32_t bucket, const MeanLists &to, uint32_t *keys,
                       uint32_t *named) {
  return with_table(
      shape, scratch, from, threads, bucket, to,
      [&](const auto &bucket_trim) { return bucket_trim.trim_and_name(keys, named); });
}
