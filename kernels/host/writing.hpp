// Rows on their way from and to memory.
#pragma once

constexpr std::int64_t cache_bytes = 32 << 20;
constexpr int line = 16, batch = 1024, longest_gathered = 4096, ahead = 2048;  // floats

// Writes rows that follow each other and that nobody reads soon. Where a launch reads and writes more than
// a cache holds, it gathers them and writes whole lines past the cache: a line that is written in part is
// read first.
class RowWriter {
  public:
    explicit RowWriter(int n)
        : gathers(2 * sizeof(float) * static_cast<std::int64_t>(gridDim.x) * n > cache_bytes && n <= longest_gathered) {}
    ~RowWriter() {
        if (start != nullptr) finish();
    }
    RowWriter(const RowWriter&) = delete;
    RowWriter& operator=(const RowWriter&) = delete;

    template <typename Make>
    __device__ inline void write(float* out, int n, const Make& make) {
        if (!gathers) return make(out);
        if (start == nullptr) begin(out);
        make(held + count);
        count += n;
        if (count >= batch) write_lines();
    }

  private:
    // The line that the first row begins in belongs to others in part: `foreign` floats of it.
    void begin(float* out) {
        foreign = static_cast<int>(reinterpret_cast<std::uintptr_t>(out) / sizeof(float) % line);
        start = out - foreign;
        count = foreign;
    }

    __device__ inline void write_lines() {
        int i = 0;
        if (foreign > 0 && count >= line) {
            write_plainly(line);
            i = line;
        }
        for (; i + line <= count; i += line) write_line(start + i, held + i);
        start += i;
        count -= i;
        for (int k = 0; k < count; ++k) held[k] = held[i + k];
    }

    static void write_line(float* out, const float* from) {
#ifdef __SSE2__
        for (int k = 0; k < line; k += 4) _mm_stream_ps(out + k, _mm_load_ps(from + k));
#else
        std::memcpy(out, from, line * sizeof(float));
#endif
    }

    void write_plainly(int end) {
        for (int k = foreign; k < end; ++k) start[k] = held[k];
        foreign = 0;
    }

    void finish() {
        write_lines();
        if (count > foreign) write_plainly(count);
#ifdef __SSE2__
        _mm_sfence();
#endif
    }

    const bool gathers;
    float* start = nullptr;  // of the line where `held` belongs
    int foreign = 0, count = 0;
    alignas(64) float held[batch + longest_gathered];
};

// What is soon to be read, asked for while there is time.
__device__ inline void read_ahead(const float* row, int n) {
    for (int x = 0; x < n; x += line) __builtin_prefetch(row + x + ahead, 0, 2);
}
