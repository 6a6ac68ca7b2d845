// As many numbers at once as the processor has lanes.
#pragma once

#include "numbers.h"
#include <immintrin.h>

#ifdef __AVX512F__

constexpr int LANES = 16, TILE_ROWS = 8, TILE_COLS = 3;  // as many sums at once as there are registers
typedef __m512 Lanes;

inline Lanes load(const float* p) { return _mm512_loadu_ps(p); }
inline Lanes load(const BFloat16* p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
inline Lanes load(const int8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p)));
}
inline void put(float* p, Lanes v) { _mm512_storeu_ps(p, v); }
inline Lanes spread(float value) { return _mm512_set1_ps(value); }
inline Lanes add(Lanes a, Lanes b) { return _mm512_add_ps(a, b); }
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return _mm512_fmadd_ps(a, b, c); }
inline void keep(Lanes& v) { asm("" : "+v"(v)); }  // in a register: GCC would read it again for each use

// The sums of four, each in the same order.
inline void sum4(const Lanes v[4], float sums[4]) {
    Lanes ab = add(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    Lanes cd = add(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    // a b c d, in each quarter
    Lanes all = add(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xEE));
    all = add(all, _mm512_shuffle_f32x4(all, all, 0x4E));
    all = add(all, _mm512_shuffle_f32x4(all, all, 0xB1));
    _mm_storeu_ps(sums, _mm512_castps512_ps128(all));
}

#elif defined(__AVX2__) && defined(__FMA__)

constexpr int LANES = 8, TILE_ROWS = 4, TILE_COLS = 2;
typedef __m256 Lanes;

inline Lanes load(const float* p) { return _mm256_loadu_ps(p); }
inline Lanes load(const BFloat16* p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
inline Lanes load(const int8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p)));
}
inline void put(float* p, Lanes v) { _mm256_storeu_ps(p, v); }
inline Lanes spread(float value) { return _mm256_set1_ps(value); }
inline Lanes add(Lanes a, Lanes b) { return _mm256_add_ps(a, b); }
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
inline void keep(Lanes& v) { asm("" : "+x"(v)); }

inline void sum4(const Lanes v[4], float sums[4]) {
    Lanes ab = add(_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpackhi_ps(v[0], v[1]));
    Lanes cd = add(_mm256_unpacklo_ps(v[2], v[3]), _mm256_unpackhi_ps(v[2], v[3]));
    Lanes all = add(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}

#else
#error made for processors with AVX2 or AVX-512
#endif

inline float sum(Lanes v) {
    const Lanes four[4] = {v, v, v, v};
    float sums[4];
    sum4(four, sums);
    return sums[0];
}

inline float total(const float* x, int64_t count) {
    Lanes parts = {};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) parts = add(parts, load(x + i));
    float result = sum(parts);
    for (; i < count; i++) result += x[i];
    return result;
}

inline float largest_of(const float* x, int64_t count) {
    float parts[16], largest = x[0];
    for (float& part : parts) part = x[0];
    int64_t i = 0;
    for (; i + 16 <= count; i += 16)
        for (int j = 0; j < 16; j++) parts[j] = x[i + j] > parts[j] ? x[i + j] : parts[j];
    for (; i < count; i++) largest = x[i] > largest ? x[i] : largest;
    for (float part : parts) largest = part > largest ? part : largest;
    return largest;
}
