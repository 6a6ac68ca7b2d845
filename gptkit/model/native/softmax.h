// From the scores of attention to its weights, and dropout of those, in one pass over what each query sees.
#pragma once

#include "dropout.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

constexpr int64_t LANES = 16;  // numbers at a time: what is left over at the end of a row goes one by one, slowly

// M matrices of T queries and S keys. Query t sees `window` keys, the last of them key `first` + t.
struct View {
    int64_t matrices, queries, keys, first, window;
    float scale;  // of the scores

    int64_t rows() const { return matrices * queries; }
    int64_t size() const { return rows() * keys; }
    int64_t padded() const { return up(keys); }
    static int64_t up(int64_t count) { return (count + LANES - 1) / LANES * LANES; }
};

// What a row's query sees, [begin, end), and the lanes that hold it, [from, to), of which the row has those up to `last`.
struct Seen {
    int64_t begin, end, from, to, last;

    Seen(const View& v, int64_t row) {
        end = v.first + row % v.queries + 1;
        begin = std::max<int64_t>(0, end - v.window);
        from = begin / LANES * LANES;
        to = View::up(end);
        last = std::min(to, v.keys);
    }
};

template <class X>
void zero(X* begin, X* end) {
    std::memset(begin, 0, (end - begin) * sizeof(X));
}

template <class X>
void weigh(const View& v, const Dropping& d, X* scores, X* kept) {
    #pragma omp parallel if (v.size() > ALONE)
    {
        std::vector<float> held(v.padded());
        float* row_of = held.data();
        #pragma omp for
        for (int64_t row = 0; row < v.rows(); row++) {
            X* x = scores + row * v.keys;
            Seen seen(v, row);
            #pragma omp simd
            for (int64_t k = seen.from; k < seen.last; k++) row_of[k] = v.scale * one(x + k);
            std::fill(row_of + seen.from, row_of + seen.begin, -INFINITY);
            std::fill(row_of + seen.end, row_of + seen.to, -INFINITY);
            float most = -INFINITY, sum = 0.f;
            #pragma omp simd reduction(max : most)
            for (int64_t k = seen.from; k < seen.to; k++) most = row_of[k] > most ? row_of[k] : most;
            #pragma omp simd reduction(+ : sum)
            for (int64_t k = seen.from; k < seen.to; k++) {
                row_of[k] = exponential(row_of[k] - most);
                sum += row_of[k];
            }
            zero(row_of + seen.from, row_of + seen.begin);  // not e^-87, whose products are slow
            zero(row_of + seen.end, row_of + seen.to);
            float share = 1.f / sum;
            #pragma omp simd
            for (int64_t k = seen.from; k < seen.last; k++) put(x + k, row_of[k] * share);
            zero(x, x + seen.begin);
            zero(x + seen.end, x + v.keys);
            if (!kept) continue;
            X* y = kept + row * v.keys;
            zero(y, y + seen.from);
            zero(y + seen.last, y + v.keys);
            kept_shares(d, row * v.padded() + seen.from, seen.to - seen.from, row_of + seen.from);
            #pragma omp simd
            for (int64_t k = seen.from; k < seen.last; k++) put(y + k, row_of[k] * one(x + k));
        }
    }
}

// With weights w = softmax(scale x), y = w m of dropout's m, and g = dy m: dx = scale w (g - sum(g w)).
template <class X>
void weigh_back(const View& v, const Dropping& d, const X* weights, X* gradient, X* kept) {
    #pragma omp parallel if (v.size() > ALONE)
    {
        std::vector<float> held(v.padded());
        float* row_of = held.data();
        #pragma omp for
        for (int64_t row = 0; row < v.rows(); row++) {
            const X* w = weights + row * v.keys;
            X* dy = gradient + row * v.keys;
            Seen seen(v, row);
            float along = 0.f;
            if (kept) {
                X* y = kept + row * v.keys;
                zero(y, y + seen.from);
                zero(y + seen.last, y + v.keys);
                kept_shares(d, row * v.padded() + seen.from, seen.to - seen.from, row_of + seen.from);
                #pragma omp simd
                for (int64_t k = seen.from; k < seen.last; k++) {
                    put(y + k, row_of[k] * one(w + k));
                    row_of[k] *= one(dy + k);
                }
            } else {
                #pragma omp simd
                for (int64_t k = seen.from; k < seen.last; k++) row_of[k] = one(dy + k);
            }
            #pragma omp simd reduction(+ : along)
            for (int64_t k = seen.from; k < seen.last; k++) along += row_of[k] * one(w + k);
            #pragma omp simd
            for (int64_t k = seen.from; k < seen.last; k++) put(dy + k, v.scale * one(w + k) * (row_of[k] - along));
            zero(dy, dy + seen.begin);
            zero(dy + seen.end, dy + v.keys);
        }
    }
}
