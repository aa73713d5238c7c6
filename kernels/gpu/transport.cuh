// Explicit passes on a GPU: columns of voxels.
#pragma once

// Of a column the voxels that do not stand apart.
template <typename Faces, typename Table>
__device__ inline void explicit_column(const Explicit& field, const Column& at, Faces faces, Table keep, Table gain) {
    const Stack& shape = field.shape;
    const int32 plane = shape.ny * shape.nx;
    const bool first = field.momentum == 0.0f;
    Neighbours<float> c(field.source, shape, at);
    float* __restrict__ out = field.target + at.start(shape);
    float before = first ? 0.0f : *out;
#pragma unroll 1  // more at once would take the registers of other threads
    for (int32 z = at.z; z < at.end; ++z) {
        const bool goes_on = z + 2 < shape.nz;
        const auto ahead = c.ahead(goes_on);
        const auto faces_ahead = faces.ahead(goes_on);
        const float before_ahead = first || z + 1 >= at.end ? 0.0f : out[plane];
        const float value = euler(field.implicit, c.here, inflow(c, faces), keep.at(0), gain.at(0));
        *out = held(first ? value : stage(value, field.momentum, before));
        c.rise(ahead);
        faces.rise(faces_ahead);
        keep = keep.from(plane, 0);
        gain = gain.from(plane, 0);
        before = before_ahead;
        out += plane;
    }
}

// The voxels of a column that stand apart: all, or the lowest and the highest.
template <typename Coupling>
__device__ inline void explicit_apart(const Explicit& field, const Column& at, const Coupling& coupling,
                                      const MapOrTable& keep, const MapOrTable& gain) {
    const bool all = at.apart(field.shape, field.boundary);
    const int32 step = all || at.z == at.end - 1 ? 1 : at.end - 1 - at.z;
    for (int32 z = at.z; z < at.end; z += step) {
        if (!all && !at.apart(field.shape, field.boundary, z)) continue;
        const int64 start = row_start(field.shape, at.replicate, z, at.y);
        const auto row = finest_row(field.source + start, coupling.from(start), field.shape, field.boundary,
                                    field.resistance, z, at.y);
        float* out = field.target + start;
        out[at.x] = explicit_voxel(field, field.momentum == 0.0f, field.implicit, row, keep.from(start),
                                   gain.from(start), out, at.x);
    }
}
