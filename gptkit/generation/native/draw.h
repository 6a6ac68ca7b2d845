// One token of each row, drawn from the softmax of its logits.
#pragma once

#include "lanes.h"
#include <cmath>
#include <vector>

namespace {

constexpr int64_t BLOCK = 256;  // tokens; only the block in which the drawn one lies is looked at token by token

// The weights of a block, exp(x - largest): exactly 0 for what is dropped (-inf), and a NaN stays one.
inline int64_t weigh_block(const float* x, int64_t from, int64_t vocab, float largest, float* weights) {
    int64_t count = vocab - from < BLOCK ? vocab - from : BLOCK;
    for (int64_t i = 0; i < count; i++) {
        float below = x[from + i] - largest;
        weights[i] = below < -87.f ? 0.f : exponential(below);
    }
    return count;
}

// The token at which the summed weights pass `uniform` times their total; -1 where the logits are not finite.
inline int64_t draw_row(const float* x, int64_t vocab, float uniform) {
    float weights[BLOCK], largest = largest_of(x, vocab);
    std::vector<double> sums;
    double all = 0;
    for (int64_t from = 0; from < vocab; from += BLOCK) {
        sums.push_back(total(weights, weigh_block(x, from, vocab, largest, weights)));
        all += sums.back();
    }
    if (!std::isfinite(all)) return -1;
    double target = uniform * all, before = 0;
    size_t block = 0;
    while (block + 1 < sums.size() && before + sums[block] <= target) before += sums[block++];
    while (sums[block] == 0) block--;  // rounding led beyond the last that can come
    int64_t from = block * BLOCK, count = weigh_block(x, from, vocab, largest, weights), last = -1;
    for (int64_t i = 0; i < count; i++) {
        if (weights[i] == 0) continue;
        last = from + i;
        if ((before += weights[i]) > target) break;
    }
    return last;
}

}  // namespace

// logits (rows, vocab), uniform (rows) in [0, 1) -> tokens (rows); returns whether all logits were finite.
extern "C" int gptkit_draw(const float* logits, int64_t rows, int64_t vocab, const float* uniform, int64_t* tokens) {
    bool finite = true;
    #pragma omp parallel for reduction(&& : finite) if (rows > 1 && rows * vocab > 65536)
    for (int64_t row = 0; row < rows; row++) {
        tokens[row] = draw_row(logits + row * vocab, vocab, uniform[row]);
        finite = finite && tokens[row] >= 0;
    }
    return finite;
}
