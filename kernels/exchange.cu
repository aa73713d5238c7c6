// What enters a field at given voxels from outside the lattice: a dose, an inflow.
#include "common.cuh"

// Blocks: count / blockDim.x, rounded up. No voxel is named twice.
extern "C" __global__ void deposit(float* __restrict__ field,         // [R, z, y, x]
                                   const int64* __restrict__ voxels,  // [count]
                                   const float* __restrict__ amounts,  // [count], concentration
                                   int64 count) {
    const int64 i = static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) field[voxels[i]] = field[voxels[i]] + amounts[i];
}
ENTRY(deposit)
