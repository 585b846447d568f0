/* HIP by clang alone (-DCUCKOO_BARE_HIP), to compile offline without HIP's own headers. */
#ifndef CUCKOO_BARE_HIP_H
#define CUCKOO_BARE_HIP_H

#define __device__ __attribute__((device))
#define __host__ __attribute__((host))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define __forceinline__ inline __attribute__((always_inline))

#define DEVICE static __device__ __forceinline__
#define KERNEL(threads) extern "C" __attribute__((amdgpu_flat_work_group_size(1, threads))) \
    __global__ void
#define SHARED_MEMORY(name) extern __shared__ unsigned int name[]
#define LANE __builtin_amdgcn_workitem_id_x()
#define LANES __builtin_amdgcn_workgroup_size_x()
#define GROUP __builtin_amdgcn_workgroup_id_x()
#define GROUPS (__builtin_amdgcn_grid_size_x() / __builtin_amdgcn_workgroup_size_x())

DEVICE void synchronise() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

#endif
