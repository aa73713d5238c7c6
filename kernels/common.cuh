// What every kernel shares: integer names, rows, random numbers, hazards, sums of a block.
//
// A block takes one row of voxels along x; its threads stride along it. On a host blockDim.x is 1
// and that stride becomes a plain loop. Arithmetic is + - * / and comparisons only, in float32, so
// that every machine rounds alike (compile with no contraction and IEEE division).
#pragma once

using int32 = int;
using int64 = long long;
using uint8 = unsigned char;
using uint16 = unsigned short;
using uint32 = unsigned int;
using uint64 = unsigned long long;

#ifndef GPUSIM_HOST
#define ENTRY(name)  // a host build makes a launcher here; a GPU has its own
#define ENTRY_OF_ROWS(name)
#endif

// Once in the code, not at each call: inlined, such functions would take more registers than a thread should have.
#ifdef GPUSIM_HOST
#define OUT_OF_LINE static __attribute__((noinline))
#else
#define OUT_OF_LINE static __device__ __noinline__
#endif

// How many blocks of 256 threads a multiprocessor is to hold at least. For a kernel that has room enough then on
// capability 9.0; elsewhere the compiler might spill.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900
#define BLOCKS_AT_ONCE(n) __launch_bounds__(256, n)
#else
#define BLOCKS_AT_ONCE(n)
#endif

// A loop over a row stands in a function of its own, and all that it calls goes into it: so that a host
// compiler takes its iterations together.
#ifdef GPUSIM_HOST
#define LOOP_FUNCTION static __attribute__((noinline))
#define INLINED __attribute__((always_inline))
#else
#define LOOP_FUNCTION __device__ inline
#define INLINED
#endif

constexpr int32 longest_row = 4096;  // voxels along an axis of a lattice, and of a block of rows
constexpr float runaway = 1.0e15f;  // a concentration, or a trait, that has gone wrong
constexpr float two_to_32 = 4294967296.0f;
constexpr float two_to_minus_22 = 2.384185791015625e-7f, two_to_minus_24 = 5.9604644775390625e-8f;

// How many parts of a size, the last of them smaller, make n.
__device__ inline int32 parts(int32 n, int32 size) { return (n + size - 1) / size; }

// Replicates of a lattice, one after the other: [R, z, y, x]. Sides, levels and colours are those of one.
struct Stack {
    int32 replicates, nz, ny, nx;
};

__device__ inline int64 row_start(const Stack& stack, int32 replicate, int32 z, int32 y) {
    return (static_cast<int64>(replicate * stack.nz + z) * stack.ny + y) * stack.nx;
}

__device__ inline int64 volume(const Stack& stack) { return row_start(stack, stack.replicates, 0, 0); }

// What a field or a cell meets at the sides of the lattice, as bits: periodic axes, and the open ones among the
// sides z low, z high, y low, y high, x low, x high. All others are closed.
enum Boundary { PERIODIC_Z = 1, PERIODIC_Y = 2, PERIODIC_X = 4, FIRST_OPEN = 8, OPEN = 63 * FIRST_OPEN };

// Whether place i of n along an axis is at an open side, of which `low` is the number of the lower.
__device__ inline bool at_open_side(int32 boundary, int32 low, int32 i, int32 n) {
    return (i == 0 && boundary & FIRST_OPEN << low) || (i == n - 1 && boundary & FIRST_OPEN << (low + 1));
}

// Place i, up to one beyond either end, along an axis of n; -1 outside.
__device__ inline int32 along(int32 i, int32 n, bool periodic) {
    if (i >= 0 && i < n) return i;
    return periodic ? (i < 0 ? n - 1 : 0) : -1;
}

// Whether a state is in a set, one bit each.
__device__ inline int32 in_set(const uint32* states, uint8 state) {
    return static_cast<int32>((states[state >> 5] >> (state & 31)) & 1u);
}

// The sum over all threads of a block, in the first of them. All take part; blocks are of whole warps.
__device__ inline uint64 block_sum(uint64 value) {
#ifndef GPUSIM_HOST
    __shared__ uint64 sums[32];  // of each warp
    for (int32 distance = 16; distance > 0; distance /= 2)
        value += __shfl_down_sync(0xFFFFFFFFu, value, distance);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x == 0)
        for (int32 warp = 1; warp < blockDim.x / 32; ++warp) value += sums[warp];
    __syncthreads();  // before a later sum writes its own
#endif
    return value;
}

// Calls use(i) for those i below n that are wanted. On a GPU the threads of a block first gather these: a warp takes as
// long for one voxel as for 32. So `use` must not depend on an order.
template <typename Wanted, typename Use>
__device__ inline void for_wanted(int32 n, const Wanted& wanted, const Use& use) {
#ifdef GPUSIM_HOST
    for (int32 i = 0; i < n; ++i)
        if (wanted(i)) use(i);
#else
    __shared__ uint16 gathered[longest_row];
    __shared__ uint32 count;
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    for (int32 i = threadIdx.x; i < n; i += blockDim.x)
        if (wanted(i)) gathered[atomicAdd(&count, 1u)] = static_cast<uint16>(i);
    __syncthreads();
    for (uint32 i = threadIdx.x; i < count; i += blockDim.x) use(gathered[i]);
#endif
}

struct Random {
    uint32 word[4];
};

// Philox4x32-10 of Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
// A pure function of (counter, key): no state, so no dependence on thread, block or order.
__device__ inline Random philox(uint32 c0, uint32 c1, uint32 c2, uint32 c3, uint32 k0, uint32 k1) {
    for (int32 round = 0; round < 10; ++round) {
        const uint64 a = static_cast<uint64>(0xD2511F53u) * c0;
        const uint64 b = static_cast<uint64>(0xCD9E8D57u) * c2;
        const uint32 a_high = static_cast<uint32>(a >> 32);
        const uint32 b_high = static_cast<uint32>(b >> 32);
        c0 = b_high ^ c1 ^ k0;
        c1 = static_cast<uint32>(b);
        c2 = a_high ^ c3 ^ k1;
        c3 = static_cast<uint32>(a);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return Random{{c0, c1, c2, c3}};
}

constexpr uint32 purposes = 256;  // apart in random numbers: of one trait, or of four lots, and of the next

// The random numbers of a replicate's voxels for one purpose in one step.
struct Draw {
    uint64 seed;
    uint64 offset;  // from the index in an array to that in the whole lattice of one replicate
    uint32 step, purpose;
    __device__ inline Random at(int64 index) const {
        const uint64 voxel = offset + static_cast<uint64>(index);
        return philox(static_cast<uint32>(voxel), static_cast<uint32>(voxel >> 32), step, purpose,
                      static_cast<uint32>(seed), static_cast<uint32>(seed >> 32));
    }
};

#ifdef GPUSIM_HOST
#include "host/random.hpp"
#else
// The first random words of a row's voxels.
class FirstWords {
  public:
    __device__ inline FirstWords(const Draw& draw, int64 start, int32) : draw(draw), start(start) {}
    __device__ inline uint32 at(int32 x) const { return draw.at(start + x).word[0]; }

  private:
    const Draw& draw;
    int64 start;
};
#endif

// Pade approximant of 1 - exp(-hazard), right to third order; beyond its top (hazard = sqrt 12,
// probability 0.928) it is held there. The comparison also sends NaN to the top.
constexpr float pade_constant = 12.0f, pade_linear = 6.0f, pade_top = 3.46410161513775f;

__device__ inline float probability(float hazard) {
    const float h = hazard < pade_top ? hazard : pade_top;
    return pade_constant * h / (pade_constant + pade_linear * h + h * h);
}

// True with the given probability, resolved to 2^-32.
__device__ inline bool happens(float p, uint32 word) {
    return word < static_cast<uint32>(p * two_to_32);
}
