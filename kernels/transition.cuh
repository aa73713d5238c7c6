// What the cells of a layer turn into.
#pragma once
#include "common.cuh"

struct Release {
    int32 field;
    int32 trait;   // whose value the amount is multiplied by, or -1
    float amount;  // concentration added to the voxel
};

struct Egress {
    int32 trait;
    float scale;  // a power of 2, by which no value comes above egress_most
};

struct Rule {
    int32 to;
    int32 daughter;  // state of the other cell that comes of a division, or NO_DAUGHTER, or CLOSES
    int32 reach;     // of a division, or of what closes up, the most room: tenths of a voxel
    float hazard;    // rate * dt
    int32 after;     // steps to spend in the state first
    int32 first_modulator, end_modulator;
    int32 first_release, end_release;
    int32 first_adjustment, end_adjustment;  // of traits
    int32 first_egress, end_egress;          // of traits to the body
    int32 founds;                            // whether its cell, or the daughter, founds a clone
    int32 partner, partner_to;  // states of the cell of the other layer, which takes part, before and after; or -1
};

// What of a trait goes to the body is counted in integers: a scaled value without its fraction, that in 2^-36, and so on.
constexpr float egress_most = 68719476736.0f;  // 2^36
constexpr int32 egress_parts = 3;

// What voxels give to the body through walls is counted in integers, so that the order of the sum can't matter: in
// units of 2^-20 of a concentration, and what is left in units of 2^-31 of these.
constexpr float flow_whole = 1048576.0f, flow_fraction = 2147483648.0f;

constexpr float most_division = 0.5f;  // hazard of a division over a step

// In place of a daughter: a transition within its voxel, and one whose voxel is closed up by the cells around.
enum Instead { NO_DAUGHTER = -1, CLOSES = -2 };

// The claim of a mother for room, or of what closes up: the number of its rule among those that leave its state, from 1 on,
// whether it closes up, and whether the claim was made in this step.
enum Claim { CLAIM_RULE = 63, CLAIM_CLOSES = 64, CLAIM_NEW = 128 };

__device__ inline bool divides(uint8 claim) { return claim != 0 && !(claim & CLAIM_CLOSES); }
__device__ inline bool closes(uint8 claim) { return (claim & CLAIM_CLOSES) != 0; }
