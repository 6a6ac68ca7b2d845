// Numbers of three kinds, read and written as float, and exp of them.
#pragma once

#include <cstdint>

struct BFloat16 { uint16_t bits; };

inline float one(const float* p) { return *p; }
inline float one(const BFloat16* p) {
    union { uint32_t bits; float value; } wide = {(uint32_t)p->bits << 16};
    return wide.value;
}
inline float one(const int8_t* p) { return *p; }

inline void put(float* p, float value) { *p = value; }
inline void put(BFloat16* p, float value) {  // to the nearest, ties to even
    union { float value; uint32_t bits; } wide = {value};
    p->bits = value == value ? (wide.bits + 0x7FFF + (wide.bits >> 16 & 1)) >> 16 : 0x7FC0;
}

// exp, to about 2 ulp, in a form that compilers turn into vectors.
// Reference: Cephes, expf: 2^n times a polynomial of what is left.
inline float exponential(float x) {
    x = x < -87.f ? -87.f : x > 88.f ? 88.f : x;
    float n = (x * 1.44269504f + 12582912.f) - 12582912.f;  // to the nearest whole number
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    union { int32_t bits; float value; } power = {((int32_t)n + 127) << 23};
    return p * power.value;
}
