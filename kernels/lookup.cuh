// What the cells of a voxel exchange: entries of tables [tissue states, immune states].
#pragma once
#include "common.cuh"

enum VariesBy { UNIFORM = 0, TISSUE = 1, TISSUE_AND_IMMUNE = 2 };

// A wall between voxels and the body.
struct Wall {
    int32 field;
    int32 quantity;  // of the body, on the other side
    float dilution;  // concentration there, for one unit of the quantity
};

// Of voxels that hold a concentration, as gpusim/model/tables.py has it.
constexpr float fastest_loss = 1.0e37f, held_mass = 18446744073709551616.0f;

// Which cells stand in a row, and how to find their entry. Immune states are numbered after those of the
// tissue; the first of them is nobody.
struct Cells {
    const uint8 *tissue, *immune;
    int32 tissue_states, immune_states;
    __device__ inline Cells from(int64 start) const {
        return Cells{tissue + start, immune + start, tissue_states, immune_states};
    }
};

template <int32 by>
__device__ inline int32 exchange_index(const Cells& cells, int32 x) {
    if (by == UNIFORM) return 0;
    const int32 first = cells.tissue[x] * cells.immune_states;
    return by == TISSUE ? first : first + cells.immune[x] - cells.tissue_states;
}

// A table read where it is needed.
template <int32 by>
struct TableAt {
    Cells cells;
    const float* table;
    __device__ inline TableAt from(int64 start, int32) const { return TableAt{cells.from(start), table}; }
    __device__ inline float at(int32 x) const { return table[exchange_index<by>(cells, x)]; }
};

// The map [R, z, y, x] of a field among maps by slot; null where the field has none.
__device__ inline const float* map_of(const float* maps, int32 slot, const Stack& shape) {
    return slot < 0 ? nullptr : maps + slot * volume(shape);
}

// A map, which has an entry for each voxel.
struct MapAt {
    const float* values;
    __device__ inline MapAt from(int64 start, int32) const { return MapAt{values + start}; }
    __device__ inline float at(int32 x) const { return values[x]; }
};

// Either, chosen at each voxel: for the few that stand apart.
struct MapOrTable {
    Cells cells;
    const float *map, *table;
    int32 by;
    int64 start = 0;
    __device__ inline MapOrTable from(int64 first) const { return MapOrTable{cells, map, table, by, start + first}; }
    __device__ inline float at(int32 x) const {
        if (map != nullptr) return map[start + x];
        const Cells here = cells.from(start);
        return table[by == UNIFORM  ? 0
                     : by == TISSUE ? exchange_index<TISSUE>(here, x)
                                    : exchange_index<TISSUE_AND_IMMUNE>(here, x)];
    }
};

#ifdef GPUSIM_HOST
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
            if (here != nobody) one_by_one<TISSUE_AND_IMMUNE>(row, x, x + pack);
        }
    }

    Cells cells;
    const float* table;
    int32 by, packs;
    const float* known;  // of all voxels, where there is a map or they have been looked up
    alignas(32) float alone[pack * most_packs];
    alignas(32) float row_values[longest_row];  // no axis of a lattice is longer
};
#endif
