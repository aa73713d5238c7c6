// The few lines that let a C++ compiler take the kernels as they are.
//
// One host thread plays a whole block: blockDim.x is 1, and a launch is a range of blocks, its
// arguments an array of pointers to them, as for the CUDA driver.
#pragma once
#include <cstddef>
#include <utility>

#define GPUSIM_HOST
#define __global__
#define __device__ __attribute__((always_inline))
#define __shared__ static thread_local
#define __syncthreads()

struct HostIndex {
    int x;
};
static thread_local HostIndex blockIdx{0};
struct HostThread {
    static constexpr int x = 0;
};
static constexpr HostThread threadIdx{};
struct HostBlock {
    static constexpr int x = 1;
};
static constexpr HostBlock blockDim{};

template <typename T>
inline void atomicAdd(T* target, T value) {
    __atomic_fetch_add(target, value, __ATOMIC_RELAXED);
}

template <typename T>
inline void atomicMin(T* target, T value) {
    T seen = __atomic_load_n(target, __ATOMIC_RELAXED);
    while (value < seen &&
           !__atomic_compare_exchange_n(target, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

template <auto kernel, typename... P, std::size_t... i>
inline void run_blocks(void (*)(P...), void** arguments, int first, int end, std::index_sequence<i...>) {
    for (int block = first; block < end; ++block) {
        blockIdx.x = block;
        kernel(*static_cast<P*>(arguments[i])...);
    }
}

template <auto kernel, typename... P>
inline void run_blocks(void (*signature)(P...), void** arguments, int first, int end) {
    run_blocks<kernel>(signature, arguments, first, end, std::index_sequence_for<P...>{});
}

#define ENTRY(name)                                                                  \
    extern "C" void launch_##name(void** arguments, int first, int end) {            \
        run_blocks<name>(name, arguments, first, end);                               \
    }
