// One pass of a layer, for compilers that make an FPGA's binary ahead of time (Intel's aoc). The
// numbers lie as the Verilog core has them: 16 filters a tile, step by step, and features that
// are read from position + offset[step] on. A single work-item: the compiler pipelines the loop
// over steps and unrolls the one over filters into 16 multipliers.
//
// Integer arithmetic modulo 2^32 throughout; y = clamp(((x >> (b-1)) + 1) >> 1, lowest, highest).
#define FILTERS 16

__kernel void farmctl_layer(__global const char *restrict features,
                            __global const uint *restrict offsets,
                            __global const char *restrict weights,
                            __global const int *restrict biases, __global int *restrict output,
                            const uint steps, const uint tiles, const uint positions,
                            const uint shift_bits, const int lowest, const int highest) {
  for (uint tile = 0; tile < tiles; ++tile) {
    for (uint position = 0; position < positions; ++position) {
      uint sums[FILTERS];
#pragma unroll
      for (uint f = 0; f < FILTERS; ++f) sums[f] = (uint)biases[tile * FILTERS + f];
      for (uint step = 0; step < steps; ++step) {
        const int feature = features[position + offsets[step]];
#pragma unroll
        for (uint f = 0; f < FILTERS; ++f)
          sums[f] += (uint)(feature * weights[(tile * steps + step) * FILTERS + f]);
      }
#pragma unroll
      for (uint f = 0; f < FILTERS; ++f) {
        int value = (int)sums[f];
        if (shift_bits) value = (int)((uint)(value >> (shift_bits - 1)) + 1u) >> 1;
        value = value < lowest ? lowest : value > highest ? highest : value;
        output[(tile * FILTERS + f) * positions + position] = value;
      }
    }
  }
}
