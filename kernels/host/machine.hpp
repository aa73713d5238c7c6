// The few lines that let a C++ compiler take the kernels as they are.
//
// One host thread plays a whole block: blockDim.x is 1, and a launch is a range of blocks, its
// arguments an array of pointers to them, as for the CUDA driver.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>
#ifdef __AVX2__
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#define GPUSIM_HOST
#define __global__
#define __launch_bounds__(...)
#define __device__ __attribute__((always_inline))
#define __shared__ static thread_local
#define __syncthreads()

// One for all files, which are compiled apart: what is inline in several of them must mean the same.
#define HOST_STATE __attribute__((visibility("hidden"))) inline thread_local

struct HostIndex {
    int x;
};
HOST_STATE HostIndex blockIdx{0};
HOST_STATE HostIndex gridDim{0};
HOST_STATE int blockEnd = 0;
struct HostShare {
    int first, end;
};
HOST_STATE HostShare share{0, 0};  // the blocks of a launch that this thread takes
struct HostThread {
    static constexpr int x = 0;
};
static constexpr HostThread threadIdx{};
struct HostBlock {
    static constexpr int x = 1;
};
static constexpr HostBlock blockDim{};

template <typename T>
inline T atomicAdd(T* target, T value) {
    return __atomic_fetch_add(target, value, __ATOMIC_RELAXED);
}

template <typename T>
inline T atomicMin(T* target, T value) {
    T seen = __atomic_load_n(target, __ATOMIC_RELAXED);
    while (value < seen &&
           !__atomic_compare_exchange_n(target, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return seen;
}

#include "host/writing.hpp"

template <auto kernel, bool at_once, typename... P, std::size_t... i>
inline void run_blocks(void (*)(P...), void** arguments, int blocks, int first, int end,
                       std::index_sequence<i...>) {
    const std::tuple<P...> values{*static_cast<P*>(arguments[i])...};
    gridDim.x = blocks;
    share = HostShare{first, end};
    for (int block = first; block < end; block = blockEnd) {
        blockIdx.x = block;
        blockEnd = at_once ? end : block + 1;
        kernel(std::get<i>(values)...);
    }
}

template <auto kernel, bool at_once, typename... P>
inline void run_blocks(void (*signature)(P...), void** arguments, int blocks, int first, int end) {
    run_blocks<kernel, at_once>(signature, arguments, blocks, first, end, std::index_sequence_for<P...>{});
}

#define LAUNCHER(name, at_once)                                                       \
    extern "C" void launch_##name(void** arguments, int blocks, int first, int end) { \
        run_blocks<name, at_once>(name, arguments, blocks, first, end);               \
    }
#define ENTRY(name) LAUNCHER(name, false)
#define ENTRY_OF_ROWS(name) LAUNCHER(name, true)  // it takes all blocks of a call by itself
