// Ways to count a bucket's edges by key. Included by mean_kernels.cpp alone, within the namespace
// of an instruction set.

// A byte a key: 0, 1, 3, 7 ...; bit 1 says two or more. The quickest where it fits the cache.
struct ByteTable {
  static size_t bytes(uint32_t keys) { return keys; }
  static void count(uint8_t *table, uint32_t key) {
    const uint8_t seen = table[key];
    table[key] = static_cast<uint8_t>(seen + seen + 1);
  }
  static bool meets(const uint8_t *table, uint32_t key) { return table[key] >> 1 & 1; }
#if defined(__AVX512BW__)
  static __mmask16 meets(const uint8_t *table, __m512i keys) {
    const __m512i seen = _mm512_i32gather_epi32(keys, table, 1);
    return _mm512_test_epi32_mask(seen, _mm512_set1_epi32(2));
  }
#endif
};

// Two bits a key, 0, 1 or 2: a quarter of the memory for more instructions.
struct TwoBitTable {
  static size_t bytes(uint32_t keys) { return keys / 4 + 8; }
  static void count(uint8_t *table, uint32_t key) {
    uint64_t word;
    uint8_t *place = table + key / 32 * sizeof word;
    __builtin_memcpy(&word, place, sizeof word);
    word += ~(word >> 1) & uint64_t{1} << (2 * key & 63);  // none where it is 2
    __builtin_memcpy(place, &word, sizeof word);
  }
  static bool meets(const uint8_t *table, uint32_t key) {
    return table[key / 4] >> (2 * key & 7) >> 1 & 1;
  }
#if defined(__AVX512BW__)
  static __mmask16 meets(const uint8_t *table, __m512i keys) {
    const __m512i words = _mm512_i32gather_epi32(_mm512_srli_epi32(keys, 4), table, 4);
    const __m512i shift = _mm512_and_si512(_mm512_add_epi32(keys, keys), _mm512_set1_epi32(30));
    return _mm512_test_epi32_mask(_mm512_srlv_epi32(words, shift), _mm512_set1_epi32(2));
  }
#endif
};

// For Cuckatoo: a bit a key; edges meet where both keys of a pair are there.
struct PairTable {
  static size_t bytes(uint32_t keys) { return keys / 8 + 8; }
  static void count(uint8_t *table, uint32_t key) {
    uint64_t word;
    uint8_t *place = table + key / 64 * sizeof word;
    __builtin_memcpy(&word, place, sizeof word);
    word |= uint64_t{1} << (key & 63);
    __builtin_memcpy(place, &word, sizeof word);
  }
  static bool meets(const uint8_t *table, uint32_t key) {
    const uint32_t mate = key ^ 1;
    return table[mate / 8] >> (mate & 7) & 1;
  }
#if defined(__AVX512BW__)
  static __mmask16 meets(const uint8_t *table, __m512i keys) {
    const __m512i mates = _mm512_xor_si512(keys, _mm512_set1_epi32(1));
    const __m512i words = _mm512_i32gather_epi32(_mm512_srli_epi32(mates, 5), table, 4);
    const __m512i shift = _mm512_and_si512(mates, _mm512_set1_epi32(31));
    return _mm512_test_epi32_mask(_mm512_srlv_epi32(words, shift), _mm512_set1_epi32(1));
  }
#endif
};
