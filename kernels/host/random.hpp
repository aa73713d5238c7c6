// The first random words of a row's voxels on a host, which draws them all at once, in vectors.
#pragma once

class FirstWords {
  public:
    __device__ inline FirstWords(const Draw& draw, int64 start, int32 n) {
        for (int32 x = 0; x < n; ++x) words[x] = draw.at(start + x).word[0];
    }
    __device__ inline uint32 at(int32 x) const { return words[x]; }

  private:
    uint32 words[longest_row];
};
