/* Four warps multiply as one: wgmma m64nNk32, u8 by s8, both out of shared memory. */
#ifndef INFER_WARPGROUP_CUH
#define INFER_WARPGROUP_CUH

#include "tile.cuh"

/* A matrix of rows of 128 bytes, swizzled by 128 bytes, eight rows in 1024. */
DEVICE u64 describe_matrix(const u8 *rows) {
  const u64 address = shared_address(rows) & 0x3ffff;
  return address >> 4 | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}
/* 32 bytes of each row further on. */
constexpr u64 kNextDepth = 32 >> 4;

#if !defined(INFER_HOST)
#define SUMS_OF_PAIR(b, p)                                                   \
  "+r"(sums[0][b][2 * p]), "+r"(sums[0][b][2 * p + 1]), "+r"(sums[1][b][2 * p]), \
      "+r"(sums[1][b][2 * p + 1])
#define SUMS_OF_BLOCK(b) \
  SUMS_OF_PAIR(b, 0), SUMS_OF_PAIR(b, 1), SUMS_OF_PAIR(b, 2), SUMS_OF_PAIR(b, 3)

DEVICE void multiply_warpgroup(i32 (&sums)[2][2][8], u64 pixels, u64 weights) {
  asm volatile(
      "{ .reg .pred adds; setp.ne.b32 adds, 1, 0; "
      "wgmma.mma_async.sync.aligned.m64n64k32.s32.u8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "%32, %33, adds; }"
      : SUMS_OF_BLOCK(0), SUMS_OF_BLOCK(1)
      : "l"(pixels), "l"(weights));
}

DEVICE void multiply_warpgroup(i32 (&sums)[2][4][8], u64 pixels, u64 weights) {
  asm volatile(
      "{ .reg .pred adds; setp.ne.b32 adds, 1, 0; "
      "wgmma.mma_async.sync.aligned.m64n128k32.s32.u8.s8 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, adds; }"
      : SUMS_OF_BLOCK(0), SUMS_OF_BLOCK(1), SUMS_OF_BLOCK(2), SUMS_OF_BLOCK(3)
      : "l"(pixels), "l"(weights));
}

DEVICE void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void await_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}
#endif

template <typename T>
DEVICE void multiply_stage(typename T::Sums &sums, const u8 *pixels, const u8 *weights,
                           u32 chunks) {
  const u64 rows = describe_matrix(pixels + LANE / 128 * 64 * kDepth);
  const u64 columns = describe_matrix(weights);
  begin_products();
#pragma unroll
  for (u32 step = 0; step < kChunks / 2; ++step) {
    if (2 * step < chunks) {
      multiply_warpgroup(sums.at, rows + step * kNextDepth, columns + step * kNextDepth);
    }
  }
  await_products();
}

#endif
