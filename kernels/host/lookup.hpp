// Tables by cell on a host: looked up for whole rows before the loop over them.
#pragma once

// A table read for a whole run of rows before the loop over it, which then is whole vectors. Where the machine has
// such a lookup, the entries of voxels without an immune cell, which most are, come out of registers.
class RowOfTable {
  public:
    // A map, where there is one, goes before the table.
    RowOfTable(const Cells& cells, const float* table, const float* map, int32 by, int32 longest)
        : cells(cells), table(table), by(by), packs((cells.tissue_states + pack - 1) / pack), known(map) {
        if (map != nullptr) return;
        if (packs > most_packs) packs = 0;
        for (int32 i = 0; i < packs * pack; ++i)
            alone[i] = i < cells.tissue_states ? table[i * cells.immune_states] : 0.0f;
        if (by == UNIFORM) one_by_one<UNIFORM>(cells, 0, longest);
    }

    // Looks up all rows from `first` to `end`, for several passes over them.
    void look_up(int32 first, int32 end, int32 nx, std::vector<float>& room) {
        if (known != nullptr) return;
        room.resize(static_cast<std::size_t>(end - first) * nx);
        for (int32 row = first; row < end; ++row) {
            const int64 start = static_cast<int64>(row) * nx;
            std::memcpy(room.data() + static_cast<int64>(row - first) * nx, from(start, nx).values, nx * sizeof(float));
        }
        known = room.data() - static_cast<int64>(first) * nx;
    }

    __device__ inline MapAt from(int64 start, int32 n) {
        if (known != nullptr) return MapAt{known + start};
        const Cells row = cells.from(start);
        if (by != UNIFORM && by_packs(row, n)) {
            if (by == TISSUE_AND_IMMUNE) with_immune(row, n);
        } else if (by == TISSUE) {
            one_by_one<TISSUE>(row, 0, n);
        } else if (by == TISSUE_AND_IMMUNE) {
            one_by_one<TISSUE_AND_IMMUNE>(row, 0, n);
        }
        return MapAt{row_values};
    }

  private:
    static constexpr int32 pack = 8, most_packs = 4;

    template <int32 by>
    __device__ inline void one_by_one(const Cells& row, int32 first, int32 end) {
        for (int32 x = first; x < end; ++x) row_values[x] = table[exchange_index<by>(row, x)];
    }

    __device__ inline bool by_packs(const Cells& row, int32 n) {
#ifdef __AVX2__
        if (packs == 0 || n < pack) return false;
        for (int32 next = 0; next < n; next += pack) {
            const int32 x = next + pack <= n ? next : n - pack;
            const __m256i states =
                _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row.tissue + x)));
            __m256 found = _mm256_permutevar8x32_ps(_mm256_load_ps(alone), states);
            for (int32 i = 1; i < packs; ++i) {
                const __m256 further = _mm256_permutevar8x32_ps(_mm256_load_ps(alone + i * pack), states);
                const __m256i there = _mm256_cmpgt_epi32(states, _mm256_set1_epi32(i * pack - 1));
                found = _mm256_blendv_ps(found, further, _mm256_castsi256_ps(there));
            }
            _mm256_storeu_ps(row_values + x, found);
        }
        return true;
#else
        return false;
#endif
    }

    __device__ inline void with_immune(const Cells& row, int32 n) {
        uint64 nobody, here;
        std::memset(&nobody, cells.tissue_states, sizeof nobody);
        for (int32 next = 0; next < n; next += pack) {
            const int32 x = next + pack <= n ? next : n - pack;
            std::memcpy(&here, row.immune + x, sizeof here);
            if (here != nobody) gather(row, x);
        }
    }

    // The entries of a pack by both cells.
    __device__ inline void gather(const Cells& row, int32 x) {
#ifdef __AVX2__
        const auto states = [&](const uint8* at) INLINED {
            return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
        };
        const __m256i first = _mm256_mullo_epi32(states(row.tissue + x), _mm256_set1_epi32(cells.immune_states));
        const __m256i beside = _mm256_sub_epi32(states(row.immune + x), _mm256_set1_epi32(cells.tissue_states));
        _mm256_storeu_ps(row_values + x, _mm256_i32gather_ps(table, _mm256_add_epi32(first, beside), 4));
#else
        one_by_one<TISSUE_AND_IMMUNE>(row, x, x + pack);
#endif
    }

    Cells cells;
    const float* table;
    int32 by, packs;
    const float* known;  // of all voxels, where there is a map or they have been looked up
    alignas(32) float alone[pack * most_packs];
    alignas(32) float row_values[longest_row];  // no axis of a lattice is longer
};
