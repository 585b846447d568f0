// Instructions of whole warps, lane by lane, as the PTX ISA (9.7.14, matrix instructions) and
// AMD's matrix instruction calculator lay out their fragments.
#pragma once

#include "lanes.hpp"

namespace lanes {

inline i32 unsigned_byte(u32 word, unsigned i) { return static_cast<i32>(word >> 8 * i & 255); }
inline i32 signed_byte(u32 word, unsigned i) { return static_cast<i8>(word >> 8 * i & 255); }
inline u32 low(std::uint64_t word) { return static_cast<u32>(word); }
inline u32 high(std::uint64_t word) { return static_cast<u32>(word >> 32); }

inline const Lane &peer(unsigned first, unsigned number) { return every[first + number]; }
inline i32 wrapped(i32 sum, i32 product) {
  return static_cast<i32>(static_cast<u32>(sum) + static_cast<u32>(product));
}

}  // namespace lanes

// Four 8x8 matrices of 16-bit elements; lane l gives the row l % 8 of matrix l / 8.
DEVICE void load_matrices(u32 (&to)[4], const void *row) {
  lanes::Lane &me = *lanes::here;
  const unsigned lane = me.number % 32, first = me.number - lane;
  me.told[0] = reinterpret_cast<std::uint64_t>(row);
  lanes::meet_warp();
  for (unsigned matrix = 0; matrix < 4; ++matrix) {
    const auto from = lanes::peer(first, 8 * matrix + lane / 4).told[0];
    std::memcpy(&to[matrix], reinterpret_cast<const char *>(from) + lane % 4 * 4, 4);
  }
  lanes::meet_warp();
}

// mma.m16n8k32, u8 by s8. Element i of A's 16 bytes in a lane: row lane/4, and 8 more for i in
// 4-7 and 12-15; column 4*(lane%4) + i%4, and 16 more for i >= 8. Of B's 8: row 4*(lane%4) + i%4,
// and 16 more for i >= 4; column lane/4. Of the 4 sums: row lane/4, and 8 more for i >= 2; column
// 2*(lane%4) + i%2.
DEVICE void multiply_16_8_32(i32 (&sums)[4], const u32 (&a)[4], const u32 (&b)[2]) {
  lanes::Lane &me = *lanes::here;
  const unsigned lane = me.number % 32, first = me.number - lane;
  me.told[0] = a[0] | static_cast<std::uint64_t>(a[1]) << 32;
  me.told[1] = a[2] | static_cast<std::uint64_t>(a[3]) << 32;
  me.told[2] = b[0] | static_cast<std::uint64_t>(b[1]) << 32;
  lanes::meet_warp();
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane / 4 + (i >= 2 ? 8 : 0), column = 2 * (lane % 4) + i % 2;
    for (unsigned k = 0; k < 32; ++k) {
      const auto &of_a = lanes::peer(first, row % 8 * 4 + k % 16 / 4).told[k < 16 ? 0 : 1];
      const u32 bytes = row < 8 ? lanes::low(of_a) : lanes::high(of_a);
      const auto &of_b = lanes::peer(first, column * 4 + k % 16 / 4).told[2];
      const u32 weights = k < 16 ? lanes::low(of_b) : lanes::high(of_b);
      const i32 product = lanes::unsigned_byte(bytes, k % 4) * lanes::signed_byte(weights, k % 4);
      sums[i] = lanes::wrapped(sums[i], product);
    }
  }
  lanes::meet_warp();
}

// mma.m8n8k16, u8 by s8. A: row lane/4, columns 4*(lane%4) to +3; B: rows likewise, column
// lane/4; sums: row lane/4, columns 2*(lane%4) and the next.
DEVICE void multiply_8_8_16(i32 &left, i32 &right, u32 a, u32 b) {
  lanes::Lane &me = *lanes::here;
  const unsigned lane = me.number % 32, first = me.number - lane;
  me.told[0] = a;
  me.told[1] = b;
  lanes::meet_warp();
  for (unsigned k = 0; k < 16; ++k) {
    const u32 bytes = lanes::low(lanes::peer(first, lane / 4 * 4 + k / 4).told[0]);
    for (unsigned i = 0; i < 2; ++i) {
      const unsigned column = 2 * (lane % 4) + i;
      const u32 weights = lanes::low(lanes::peer(first, column * 4 + k / 4).told[1]);
      const i32 product = lanes::unsigned_byte(bytes, k % 4) * lanes::signed_byte(weights, k % 4);
      i32 &sum = i ? right : left;
      sum = lanes::wrapped(sum, product);
    }
  }
  lanes::meet_warp();
}

// v_mfma_i32_16x16x16i8, signed by signed, over 64 lanes. A: row lane%16, columns 4*(lane/16) to
// +3; B: rows likewise, column lane%16; sums: rows 4*(lane/16) + i, column lane%16.
DEVICE void multiply_16_16_16(i32 (&sums)[4], u32 a, u32 b) {
  lanes::Lane &me = *lanes::here;
  const unsigned lane = me.number % 64, first = me.number - lane;
  me.told[0] = a;
  me.told[1] = b;
  lanes::meet_warp(64);
  for (unsigned i = 0; i < 4; ++i) {
    for (unsigned k = 0; k < 16; ++k) {
      const auto &of_a = lanes::peer(first, k / 4 * 16 + lane / 16 * 4 + i).told[0];
      const auto &of_b = lanes::peer(first, k / 4 * 16 + lane % 16).told[1];
      const i32 product = lanes::signed_byte(lanes::low(of_a), k % 4) *
                          lanes::signed_byte(lanes::low(of_b), k % 4);
      sums[i] = lanes::wrapped(sums[i], product);
    }
  }
  lanes::meet_warp(64);
}

DEVICE u32 shared_address(const void *at) {
  return static_cast<u32>(static_cast<const unsigned char *>(at) - lanes::group.shared);
}
DEVICE void begin_products() {}
DEVICE void await_products() {}

namespace lanes {

// Byte k of a row of a matrix that a wgmma descriptor tells of: eight rows of 128 bytes lie
// together, and bits 4-6 of an address are exchanged with bits 7-9.
inline u32 byte_of_matrix(u64 descriptor, unsigned row, unsigned k) {
  const u32 start = (descriptor & 0x3fff) << 4, eights = (descriptor >> 32 & 0x3fff) << 4;
  const u32 address = start + row / 8 * eights + row % 8 * 128 + k;
  return group.shared[address ^ (address >> 7 & 7) << 4];
}

}  // namespace lanes

// wgmma m64nNk32: warp w of four has rows 16w to 16w+15; in them the sums lie as mma.m16n8k32's,
// eight columns after the other.
template <int kBlocks>
DEVICE void multiply_warpgroup(i32 (&sums)[2][kBlocks][8], u64 pixels, u64 weights) {
  const unsigned lane = lanes::here->number % 128;
  for (unsigned half = 0; half < 2; ++half) {
    const unsigned row = lane / 32 * 16 + lane % 32 / 4 + 8 * half;
    for (unsigned block = 0; block < kBlocks; ++block) {
      for (unsigned i = 0; i < 8; ++i) {
        const unsigned column = 32 * block + 8 * (i / 2) + 2 * (lane % 4) + i % 2;
        i32 &sum = sums[half][block][i];
        for (unsigned k = 0; k < 32; ++k) {
          const i32 byte = static_cast<i32>(lanes::byte_of_matrix(pixels, row, k));
          const u32 weight = lanes::byte_of_matrix(weights, column, k);
          sum = lanes::wrapped(sum, byte * lanes::signed_byte(weight, 0));
        }
      }
    }
  }
}
