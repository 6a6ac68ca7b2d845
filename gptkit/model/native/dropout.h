// Dropout without a mask: a seed and a number's place say, forward and backward, whether it is dropped.
#pragma once

#include "threads.h"
#include <cstring>

// Of the 2^16 values of 16 bits `dropped` mean a zero; what stays is multiplied by `scale`.
struct Dropping {
    uint64_t seed;
    int64_t dropped;
    float scale;
};

// The i-th 64 random bits of a seed. Reference: SplitMix64, Steele et al., OOPSLA 2014, doi:10.1145/2714064.2660195.
inline uint64_t random_bits(uint64_t seed, uint64_t i) {
    uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

// 0 or the scale for each of `count` numbers, whose first is number `start`, a multiple of 4.
inline void kept_shares(const Dropping& d, int64_t start, int64_t count, float* shares) {
    constexpr int64_t WORDS = 64, SIZE = 4 * WORDS;  // numbers at a time
    const uint64_t seed = d.seed;
    const uint16_t dropped = d.dropped;
    const float scale = d.scale;
    for (int64_t first = 0; first < count; first += SIZE) {
        uint64_t words[WORDS];
        uint16_t bits[SIZE];
        #pragma omp simd
        for (int64_t i = 0; i < WORDS; i++) words[i] = random_bits(seed, (start + first) / 4 + i);
        std::memcpy(bits, words, sizeof words);
        int64_t size = count - first < SIZE ? count - first : SIZE;
        #pragma omp simd
        for (int64_t i = 0; i < size; i++) shares[first + i] = bits[i] < dropped ? 0.f : scale;
    }
}

template <class X>
void drop(const X* x, X* y, int64_t count, const Dropping& d) {
    constexpr int64_t SIZE = 1024;  // numbers at a time
    #pragma omp parallel for if (count > ALONE)
    for (int64_t start = 0; start < count; start += SIZE) {
        float shares[SIZE];
        int64_t size = count - start < SIZE ? count - start : SIZE;
        kept_shares(d, start, size, shares);
        #pragma omp simd
        for (int64_t i = 0; i < size; i++) put(y + start + i, shares[i] * one(x + start + i));
    }
}
