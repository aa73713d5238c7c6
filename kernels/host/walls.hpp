// A pass over fields with walls to the body, on a host: one part of the computation after the other over a row, each in
// whole vectors.
#pragma once

LOOP_FUNCTION void add_wall(const float* __restrict__ permeable, const float* __restrict__ c, float dt, float blood,
                            float returns, float* __restrict__ rate, float* __restrict__ brought,
                            float* __restrict__ net, int32 n) {
    for (int32 x = 0; x < n; ++x) {
        Across across{rate[x], brought[x], net[x]};
        across.add(dt * permeable[x], blood, returns, c[x]);
        rate[x] = across.rate;
        brought[x] = across.brought;
        net[x] = across.net;
    }
}

template <WalledPass pass, typename Coupling>
LOOP_FUNCTION void walled_changes(const Walled& given, const Row<Coupling>& row, const float* far,
                                  const float* __restrict__ rate, const float* __restrict__ brought,
                                  const float* __restrict__ net, float* __restrict__ change) {
    const Walled walled = given;
    const Weights one{1.0f, 1.0f};
    along(
        row.shape.nx, row.span(),
        [&](int32 x) INLINED {
            const Across across{rate[x], brought[x], net[x]};
            return walled_change<pass>(walled, across, row.inflow(one, x, x - 1, x + 1), Border{0.0f, 0.0f}, x);
        },
        [&](int32 x) INLINED {
            const Border border = row.boundary & OPEN ? row.border(x, far) : Border{0.0f, 0.0f};
            const Across across{rate[x], brought[x], net[x]};
            return walled_change<pass>(walled, across, row.inflow(one, x, row.left(x), row.right(x)), border, x);
        },
        [&](int32 x, float value) INLINED { change[x] = value; });
}

// Whether any voxel of the row is one of those that stand apart.
LOOP_FUNCTION bool add_by_lot(const Walled& given, const float* __restrict__ change, const float* __restrict__ c,
                              const float* __restrict__ lost, float* __restrict__ out, bool substep, int32 n) {
    const RowLots lots = given.lots;
    int32 apart = 0;
    if (substep)
        for (int32 x = 0; x < n; ++x) apart |= int32(change[x] < -0.5f * c[x]) | int32(lost[x] > fastest_loss);
    for (int32 x = 0; x < n; ++x) out[x] = held(sum_by_lot(c[x], change[x], lots.at(x)));
    return apart != 0;
}
