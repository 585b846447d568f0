/* What the kernels need of the language they are compiled in: CUDA, HIP (with or without HIP's
 * headers), or C++20 on the host, which emulates a target lane by lane (lanes.hpp). */
#ifndef INFER_LANGUAGE_CUH
#define INFER_LANGUAGE_CUH

#include "records.h"

#if defined(INFER_HOST)
#include "lanes.hpp"
#elif defined(INFER_BARE_HIP)
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define DEVICE static inline __device__ __attribute__((always_inline))
#define DEVICE_MEMBER __device__ inline __attribute__((always_inline))
#define KERNEL(lanes, groups) extern "C" __attribute__((amdgpu_flat_work_group_size(1, lanes))) \
    __global__ void
#define SHARED_MEMORY(name) extern __shared__ __attribute__((aligned(1024))) unsigned char name[]
#define LANE __builtin_amdgcn_workitem_id_x()
#define LANES __builtin_amdgcn_workgroup_size_x()
#define GROUP_X __builtin_amdgcn_workgroup_id_x()
#define GROUP_Y __builtin_amdgcn_workgroup_id_y()
#define GROUP_Z __builtin_amdgcn_workgroup_id_z()
#define GROUPS_X (__builtin_amdgcn_grid_size_x() / __builtin_amdgcn_workgroup_size_x())
#define GROUPS_Y __builtin_amdgcn_grid_size_y() /* groups are one lane high */
#else
#if defined(__HIPCC__) && !defined(__HIPCC_RTC__)
#include <hip/hip_runtime.h>
#endif
#define DEVICE static __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#define KERNEL(lanes, groups) extern "C" __global__ void __launch_bounds__(lanes, groups)
#define SHARED_MEMORY(name) extern __shared__ __attribute__((aligned(1024))) unsigned char name[]
#define LANE threadIdx.x
#define LANES blockDim.x
#define GROUP_X blockIdx.x
#define GROUP_Y blockIdx.y
#define GROUP_Z blockIdx.z
#define GROUPS_X gridDim.x
#define GROUPS_Y gridDim.y
#endif

/* Which instructions multiply: see multiply.cuh. The host is told which to emulate. */
#define TARGET_PLAIN 0
#define TARGET_DOT 61   /* dp4a, or AMD's dot products */
#define TARGET_MMA16 75 /* mma.sync m8n8k16 */
#define TARGET_MMA32 80 /* mma.sync m16n8k32, cp.async */
#define TARGET_WGMMA 90 /* wgmma m64nNk32 */
#define TARGET_MFMA 908 /* AMD's matrix cores: 16x16x16, lanes in waves of 64 */

#if defined(__gfx1100__) || defined(__gfx1101__) || defined(__gfx1102__) || \
    defined(__gfx1200__) || defined(__gfx1201__)
#define INFER_MIXED_DOT 1
#else
#define INFER_MIXED_DOT 0
#endif

#if defined(INFER_TARGET)
#elif defined(__gfx908__) || defined(__gfx90a__)
#define INFER_TARGET TARGET_MFMA
#elif INFER_MIXED_DOT || defined(__gfx906__) || defined(__gfx1011__) ||      \
    defined(__gfx1012__) || defined(__gfx1030__) || defined(__gfx1031__) || \
    defined(__gfx1032__) || defined(__gfx1034__)
#define INFER_TARGET TARGET_DOT
#elif defined(__AMDGCN__) || !defined(__CUDA_ARCH__)
#define INFER_TARGET TARGET_PLAIN
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define INFER_TARGET TARGET_WGMMA
#elif __CUDA_ARCH__ >= 800
#define INFER_TARGET TARGET_MMA32
#elif __CUDA_ARCH__ >= 750
#define INFER_TARGET TARGET_MMA16
#elif __CUDA_ARCH__ >= 610
#define INFER_TARGET TARGET_DOT
#else
#define INFER_TARGET TARGET_PLAIN
#endif

/* Copies run beside the arithmetic, in several stages. */
#define COPIES_ASIDE (INFER_TARGET == TARGET_MMA32 || INFER_TARGET == TARGET_WGMMA)

struct alignas(16) Chunk {
  u32 words[4];
};
struct alignas(8) Eight {
  u32 words[2];
};

#if defined(INFER_HOST)
#elif defined(INFER_BARE_HIP)
DEVICE void synchronise() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}
DEVICE u32 add(u32 *at, u32 value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }
DEVICE void fence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
DEVICE u32 read_fresh(const u32 *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
#else
DEVICE void synchronise() { __syncthreads(); }
DEVICE u32 add(u32 *at, u32 value) { return atomicAdd(at, value); }
DEVICE void fence() { __threadfence(); }
DEVICE u32 read_fresh(const u32 *at) { return *(const volatile u32 *)at; }
#endif

/* 16 or 4 bytes from global to shared memory. Where copies run aside, they are there after
 * `await_copies` and a barrier; elsewhere after the barrier. */
#if defined(INFER_HOST)
#elif COPIES_ASIDE
DEVICE u32 shared_address(const void *at) {
  u32 address;
  asm("{ .reg .u64 wide; cvta.to.shared.u64 wide, %1; cvt.u32.u64 %0, wide; }"
      : "=r"(address)
      : "l"(at));
  return address;
}
DEVICE void copy_16(void *to, const void *from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from)
               : "memory");
}
DEVICE void copy_4(void *to, const void *from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared_address(to)), "l"(from)
               : "memory");
}
DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kLeft>
DEVICE void await_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}
#else
DEVICE void copy_16(void *to, const void *from) { *(Chunk *)to = *(const Chunk *)from; }
DEVICE void copy_4(void *to, const void *from) { *(u32 *)to = *(const u32 *)from; }
DEVICE void commit_copies() {}
template <int kLeft>
DEVICE void await_copies() {}
#endif

/* Copies that have come are shown to the matrix cores, where these read past the lanes. */
#if defined(INFER_HOST) || INFER_TARGET != TARGET_WGMMA
DEVICE void show_copies() {}
#else
DEVICE void show_copies() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
#endif

/* The sum plus four products of bytes by signed weights. Where INFER_FLIPS is set, the target has
 * signed products alone: 128 is taken from each byte, and the biases make up for it. */
#if defined(INFER_FLIPS)
#elif INFER_TARGET == TARGET_MFMA
#define INFER_FLIPS 1
#elif defined(__AMDGCN__) && !INFER_MIXED_DOT && INFER_TARGET == TARGET_DOT
#define INFER_FLIPS 1
#else
#define INFER_FLIPS 0
#endif
#if defined(INFER_HOST) || INFER_TARGET == TARGET_PLAIN
DEVICE i32 dot(u32 bytes, u32 weights, i32 sum) {
  for (int i = 0; i < 4; ++i) {
    const i32 byte = (i32)(bytes >> 8 * i & 255) - (INFER_FLIPS ? 128 : 0);
    sum = (i32)((u32)sum + (u32)(byte * (i8)(weights >> 8 * i & 255)));
  }
  return sum;
}
#elif INFER_MIXED_DOT
DEVICE i32 dot(u32 bytes, u32 weights, i32 sum) {
  return __builtin_amdgcn_sudot4(false, (i32)bytes, true, (i32)weights, sum, false);
}
#elif defined(__AMDGCN__)
DEVICE i32 dot(u32 bytes, u32 weights, i32 sum) {
  return __builtin_amdgcn_sdot4((i32)(bytes ^ 0x80808080u), (i32)weights, sum, false);
}
#else
DEVICE i32 dot(u32 bytes, u32 weights, i32 sum) {
  i32 more;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(more) : "r"(bytes), "r"(weights), "r"(sum));
  return more;
}
#endif

#endif
