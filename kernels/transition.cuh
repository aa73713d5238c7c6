// What the cells of a layer turn into.
#pragma once
#include "common.cuh"

struct Release {
    int32 field;
    float amount;  // concentration added to the voxel
};

struct Rule {
    int32 to;
    int32 daughter;  // state of the other cell that comes of a division; -1 where there is none
    int32 reach;     // of a division, the most room: tenths of a voxel
    float hazard;    // rate * dt
    int32 after;     // steps to spend in the state first
    int32 first_modulator, end_modulator;
    int32 first_release, end_release;
};

constexpr float most_division = 0.5f;  // hazard of a division over a step

// The claim of a mother for room: the number of her rule among those that leave her state, from 1 on, and whether she
// has made it in this step.
enum Claim { CLAIM_RULE = 63, CLAIM_NEW = 128 };
