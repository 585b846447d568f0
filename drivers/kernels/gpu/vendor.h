/* What the kernels need of the language they are compiled in: CUDA (nvcc, NVRTC), HIP (hipcc,
 * hipRTC, or clang alone without HIP's headers), or C++20 on the host (host.hpp). No warp
 * intrinsics: warps are 32 lanes wide on some GPUs, 64 on others, and absent on the host. */
#ifndef CUCKOO_VENDOR_H
#define CUCKOO_VENDOR_H

#if defined(CUCKOO_BARE_HIP)
#include "bare_hip.h"
#elif defined(__CUDACC__) || defined(__HIPCC__) || defined(__HIPCC_RTC__)
#if defined(__HIPCC__) && !defined(__HIPCC_RTC__)
#include <hip/hip_runtime.h>
#endif
#define DEVICE static __device__ __forceinline__
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads, 1)
#define SHARED_MEMORY(name) extern __shared__ unsigned int name[]
#define LANE threadIdx.x
#define LANES blockDim.x
#define GROUP blockIdx.x
#define GROUPS gridDim.x
#else
#include "host.hpp"
#endif

#include "../cuckoo_graph.h"

typedef cuckoo_u32 u32;
typedef cuckoo_u64 u64;

#if defined(CUCKOO_HOST) || defined(CUCKOO_BARE_HIP)
DEVICE u32 add(u32 *at, u32 count) { return __atomic_fetch_add(at, count, __ATOMIC_RELAXED); }
DEVICE u64 add(u64 *at, u64 count) { return __atomic_fetch_add(at, count, __ATOMIC_RELAXED); }
DEVICE u32 set_bits(u32 *at, u32 bits) { return __atomic_fetch_or(at, bits, __ATOMIC_RELAXED); }
DEVICE void write_zero(u32 *at) { __atomic_store_n(at, 0u, __ATOMIC_RELAXED); }
DEVICE u32 read_fresh(const u32 *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }
#else
DEVICE void synchronise() { __syncthreads(); }
DEVICE u32 add(u32 *at, u32 count) { return atomicAdd(at, count); }
DEVICE u64 add(u64 *at, u64 count) { return atomicAdd(at, count); }
DEVICE u32 set_bits(u32 *at, u32 bits) { return atomicOr(at, bits); }
DEVICE void write_zero(u32 *at) { *at = 0; }
DEVICE u32 read_fresh(const u32 *at) { return *(const volatile u32 *)at; }
#endif

#endif
