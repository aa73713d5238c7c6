// A GPU as one thread of a host plays it: the odd blocks of a launch first, then the even ones, and of each
// block the last thread first. Kernels whose result depended on such an order would not be of use on a GPU.
#pragma once
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __noinline__
#define __shared__ static
#define __syncthreads()

struct Index {
    int x;
};
static Index blockIdx, threadIdx, blockDim;

template <typename T>
inline void atomicAdd(T* target, T value) {
    *target += value;
}

template <typename T>
inline void atomicMin(T* target, T value) {
    if (value < *target) *target = value;
}

template <typename... P, std::size_t... i>
inline void play(void (*kernel)(P...), void** arguments, int blocks, int threads, std::index_sequence<i...>) {
    blockDim.x = threads;
    for (int odd = 1; odd >= 0; --odd)
        for (blockIdx.x = odd; blockIdx.x < blocks; blockIdx.x += 2)
            for (threadIdx.x = threads - 1; threadIdx.x >= 0; --threadIdx.x)
                kernel(*static_cast<std::decay_t<P>*>(arguments[i])...);
}

template <typename... P>
inline void play(void (*kernel)(P...), void** arguments, int blocks, int threads) {
    play(kernel, arguments, blocks, threads, std::index_sequence_for<P...>{});
}

#define LAUNCHER(name) \
    extern "C" void launch_##name(void** arguments, int blocks, int threads) { play(name, arguments, blocks, threads); }
