// A GPU as one thread of a host plays it: the odd blocks of a launch first, then the even ones, and of each
// block the last thread first. Kernels whose result depended on such an order would not be of use on a GPU.
//
// Where the threads of a block wait for each other, each has a stack of its own, and the next one goes on.
#pragma once
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <setjmp.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __noinline__
#define __launch_bounds__(...)
#define __shared__ static

struct Index {
    int x;
};
static Index blockIdx, threadIdx, blockDim;

[[noreturn]] inline void refuse(const char* why) {
    std::fprintf(stderr, "played GPU: %s\n", why);
    std::abort();
}

// The threads of the present block, where they wait for each other. They are made once and play block after block.
class Threads {
  public:
    template <typename Run>
    void play(int count, const Run& run) {
        while (static_cast<int>(threads.size()) < count) threads.emplace_back(new Thread);
        body = &run;
        call = [](const void* each) { (*static_cast<const Run*>(each))(); };
        for (int i = 0; i < count; ++i) {
            threads[i]->ended = false;
            threads[i]->shuffles = 0;
        }
        left = count;
        playing = true;
        threadIdx.x = count - 1;
        if (_setjmp(outside) == 0) threads[threadIdx.x]->go_on();
        playing = false;
    }

    // All threads before this one in the round have come as far when it goes on.
    void wait() {
        if (!playing) refuse("a kernel waits that is not among those that do");
        switch_to(after(threadIdx.x));
    }

    template <typename T>
    T from_lane(T value, int lane) {
        const int own = threadIdx.x, other = own - own % 32 + lane;
        // Two places, as a thread may be at its next shuffle while others still read.
        const int at = ++threads[own]->shuffles % 2;
        std::memcpy(threads[own]->given[at], &value, sizeof value);
        wait();
        if (lane > 31) return value;
        if (other >= blockDim.x || threads[other]->ended || threads[other]->shuffles < threads[own]->shuffles)
            refuse("a lane is missing");
        std::memcpy(&value, threads[other]->given[at], sizeof value);
        return value;
    }

  private:
    struct Thread {
        ucontext_t start;
        jmp_buf rest;
        bool started = false, ended = false;
        int shuffles = 0;
        char given[2][8];
        char stack[1 << 16];

        [[noreturn]] void go_on() {
            if (started) _longjmp(rest, 1);
            started = true;
            getcontext(&start);
            start.uc_stack.ss_sp = stack;
            start.uc_stack.ss_size = sizeof stack;
            start.uc_link = nullptr;
            makecontext(&start, play_blocks, 0);
            setcontext(&start);
            std::abort();
        }
    };

    static void play_blocks();

    void switch_to(int next) {
        Thread& own = *threads[threadIdx.x];
        if (threads[next].get() == &own) return;
        if (_setjmp(own.rest)) return;
        threadIdx.x = next;
        threads[next]->go_on();
    }

    int after(int own) const {
        int next = own;
        do next = (next > 0 ? next : blockDim.x) - 1;
        while (next != own && threads[next]->ended);
        return next;
    }

    void end() {
        Thread& own = *threads[threadIdx.x];
        own.ended = true;
        if (--left > 0) return switch_to(after(threadIdx.x));
        if (_setjmp(own.rest) == 0) _longjmp(outside, 1);
    }

    std::vector<std::unique_ptr<Thread>> threads;
    jmp_buf outside;
    const void* body = nullptr;
    void (*call)(const void*) = nullptr;
    int left = 0;
    bool playing = false;
};
static Threads block_threads;

inline void Threads::play_blocks() {
    for (;;) {
        block_threads.call(block_threads.body);
        block_threads.end();
    }
}

inline void __syncthreads() { block_threads.wait(); }

template <typename T>
inline T __shfl_down_sync(unsigned lanes, T value, int distance) {
    if (lanes != 0xFFFFFFFFu) refuse("a shuffle of a part of a warp");
    return block_threads.from_lane(value, threadIdx.x % 32 + distance);
}

template <typename T>
inline T atomicAdd(T* target, T value) {
    const T before = *target;
    *target += value;
    return before;
}

template <typename T>
inline T atomicMin(T* target, T value) {
    const T before = *target;
    if (value < before) *target = value;
    return before;
}

template <bool waiting, typename... P, std::size_t... i>
inline void play(void (*kernel)(P...), void** arguments, int blocks, int threads, std::index_sequence<i...>) {
    const auto run = [&] { kernel(*static_cast<std::decay_t<P>*>(arguments[i])...); };
    blockDim.x = threads;
    for (int odd = 1; odd >= 0; --odd)
        for (blockIdx.x = odd; blockIdx.x < blocks; blockIdx.x += 2)
            if constexpr (waiting)
                block_threads.play(threads, run);
            else
                for (threadIdx.x = threads - 1; threadIdx.x >= 0; --threadIdx.x) run();
}

template <bool waiting, typename... P>
inline void play(void (*kernel)(P...), void** arguments, int blocks, int threads) {
    play<waiting>(kernel, arguments, blocks, threads, std::index_sequence_for<P...>{});
}

#define LAUNCHER(name, waiting)                                                        \
    extern "C" void launch_##name(void** arguments, int blocks, int threads) {         \
        play<waiting>(name, arguments, blocks, threads);                               \
    }
