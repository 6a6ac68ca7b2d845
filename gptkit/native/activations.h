// What bends the inner channels of an MLP, and its slope. gptkit/model/activations.py has the same numbers.
#pragma once

#include "numbers.h"

enum Activation { SILU_GATE, GELU, GELU_TANH, RELU, RELU2 };

struct Bent { float value, slope; };

// With the activation known, a loop over it becomes one of vectors; without use for the slope, that is not computed.
template <int A>
inline Bent bend(float x) {
    if (A == RELU) return {x > 0.f ? x : 0.f, x > 0.f ? 1.f : 0.f};
    if (A == RELU2) return {x > 0.f ? x * x : 0.f, x > 0.f ? 2.f * x : 0.f};
    if (A == GELU) {  // 1 - erf to 1.5e-7: Abramowitz and Stegun, 7.1.26
        float a = (x < 0.f ? -x : x) * 0.7071067812f, t = 1.f / (1.f + 0.3275911f * a), e = exponential(-a * a);
        float p = (((1.061405429f * t - 1.453152027f) * t + 1.421413741f) * t - 0.284496736f) * t;
        float tail = 0.5f * (p + 0.254829592f) * t * e, below = x < 0.f ? tail : 1.f - tail;
        return {x * below, below + x * e * 0.3989422804f};
    }
    // x times the sigmoid of u: of x itself, or of a polynomial (tanh(u / 2) = 2 sigmoid(u) - 1)
    bool gelu = A == GELU_TANH;
    float u = gelu ? 1.5957691216f * (x + 0.044715f * x * x * x) : x, open = 1.f / (1.f + exponential(-u));
    float rise = gelu ? 1.5957691216f * (1.f + 0.134145f * x * x) : 1.f;
    return {x * open, open + x * open * (1.f - open) * rise};
}
