// The random words of a row's voxels on a host, drawn in vectors.
#pragma once

#ifdef __AVX2__
// Counters of Philox in lanes of 64 bits. What stands in their upper halves has no effect on the lower halves.
struct Counters {
    __m256i word[4];

    inline void next_round(__m256i first_key, __m256i second_key) {
        const __m256i a = _mm256_mul_epu32(word[0], _mm256_set1_epi64x(0xD2511F53));
        const __m256i b = _mm256_mul_epu32(word[2], _mm256_set1_epi64x(0xCD9E8D57));
        word[0] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(b, 32), word[1]), first_key);
        word[1] = b;
        word[2] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(a, 32), word[3]), second_key);
        word[3] = a;
    }
};
#endif

// The first `count` words of a row's n voxels by `draw`, whose purpose is that of number 0: word w of voxel x is
// words[w * longest_row + x]. Without numbers, all have number 0. Writes, and reads of the numbers, up to 7 voxels more.
template <int32 count>
inline void draw_row(const Draw& draw, int64 start, const int32* __restrict__ numbers, uint32* __restrict__ words, int32 n) {
    const Draw here = draw;
#ifdef __AVX2__
    for (int32 x = 0; x < n; x += 8) {
        __m256i purpose = _mm256_set1_epi32(static_cast<int32>(here.purpose));
        if (numbers != nullptr) {
            const __m256i number = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers + x));
            purpose = _mm256_add_epi32(purpose, _mm256_mullo_epi32(number, _mm256_set1_epi32(purposes)));
        }
        const __m256i step = _mm256_set1_epi64x(here.step);
        const __m256i even_at = _mm256_add_epi64(_mm256_set1_epi64x(static_cast<int64>(here.offset) + start + x),
                                                 _mm256_set_epi64x(6, 4, 2, 0));
        const __m256i odd_at = _mm256_add_epi64(even_at, _mm256_set1_epi64x(1));
        Counters even{{even_at, _mm256_srli_epi64(even_at, 32), step, purpose}};
        Counters odd{{odd_at, _mm256_srli_epi64(odd_at, 32), step, _mm256_srli_epi64(purpose, 32)}};
        uint32 first_key = static_cast<uint32>(here.seed), second_key = static_cast<uint32>(here.seed >> 32);
        for (int32 round = 0; round < 10; ++round) {
            even.next_round(_mm256_set1_epi64x(first_key), _mm256_set1_epi64x(second_key));
            odd.next_round(_mm256_set1_epi64x(first_key), _mm256_set1_epi64x(second_key));
            first_key += 0x9E3779B9u;
            second_key += 0xBB67AE85u;
        }
        for (int32 w = 0; w < count; ++w)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + w * longest_row + x),
                                _mm256_blend_epi32(even.word[w], _mm256_slli_epi64(odd.word[w], 32), 0xAA));
    }
#else
    for (int32 x = 0; x < n; ++x) {
        const uint32 number = numbers == nullptr ? 0 : static_cast<uint32>(numbers[x]);
        const Random random = Draw{here.seed, here.offset, here.step, here.purpose + purposes * number}.at(start + x);
        for (int32 w = 0; w < count; ++w) words[w * longest_row + x] = random.word[w];
    }
#endif
}

class FirstWords {
  public:
    inline FirstWords(const Draw& draw, int64 start, int32 n) { draw_row<1>(draw, start, nullptr, words, n); }
    __device__ inline uint32 at(int32 x) const { return words[x]; }

  private:
    uint32 words[longest_row];
};
