// Parts of a model, forward and backward, in one pass each; gptkit/model/native/__init__.py says when.
//
// Numbers come as float or BFloat16 (kind 0 or 1), are counted with as float, and go as they came. Learned weights
// and what a backward pass needs of the forward one (`inverse`) are float. Gradients of weights are summed by
// thread and then in the order of threads: the same number of threads gives the same sum.
//
// Shapes: N vectors of `width` channels; B batch, T positions, H query and G key/value heads of D channels.

#include "activations.h"
#include "dropout.h"
#include "softmax.h"
#include <cmath>
#include <omp.h>
#include <vector>

namespace {

// A learned weight's gradient, `size` numbers in each thread.
struct Sums {
    int64_t size, threads = omp_get_max_threads();
    std::vector<float> parts = std::vector<float>(size * threads);

    float* mine() { return parts.data() + omp_get_thread_num() * size; }
    void add_up(float* out) const {
        for (int64_t k = 0; k < size; k++) {
            out[k] = 0.f;
            for (int64_t thread = 0; thread < threads; thread++) out[k] += parts[thread * size + k];
        }
    }
};

template <class X>
float inverse_rms(const X* x, int64_t width, float eps) {
    float sum = 0.f;
    #pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < width; k++) sum += one(x + k) * one(x + k);
    return 1.f / std::sqrt(sum / width + eps);
}

template <class X, class Y>
void norm(const X* __restrict x, const float* __restrict weight, float scale, Y* __restrict y, int64_t width) {
    #pragma omp simd
    for (int64_t k = 0; k < width; k++) put(y + k, one(x + k) * scale * weight[k]);
}

// With r = 1 / rms(x) and y = w r x: dw = dy r x, and dx = r (dy w - x r^2 mean(dy w x)).
template <class X, class Y>
void norm_back(const Y* __restrict dy, const X* __restrict x, const float* __restrict weight, float scale,
               X* __restrict dx, float* __restrict dweight, int64_t width) {
    float along = 0.f;
    #pragma omp simd reduction(+ : along)
    for (int64_t k = 0; k < width; k++) along += one(dy + k) * weight[k] * one(x + k);
    along *= scale * scale / width;
    #pragma omp simd
    for (int64_t k = 0; k < width; k++) {
        float value = one(x + k), gradient = one(dy + k);
        dweight[k] += gradient * value * scale;
        put(dx + k, scale * (gradient * weight[k] - value * along));
    }
}

// Channel i turns with i + width / 2; the first half of the sines carries a minus sign (positions.py).
template <class X, class Y>
void turn(const X* __restrict x, const float* __restrict cosines, const float* __restrict sines, Y* __restrict y,
          int64_t width) {
    int64_t half = width / 2;
    #pragma omp simd
    for (int64_t i = 0; i < half; i++) {
        float a = one(x + i), b = one(x + half + i);
        put(y + i, a * cosines[i] + b * sines[i]);
        put(y + half + i, b * cosines[half + i] + a * sines[half + i]);
    }
}

template <class X>
void turn_back(const X* __restrict dy, const float* __restrict cosines, const float* __restrict sines,
               float* __restrict dx, int64_t width) {
    int64_t half = width / 2;
    #pragma omp simd
    for (int64_t i = 0; i < half; i++) {
        float a = one(dy + i), b = one(dy + half + i);
        dx[i] = a * cosines[i] + b * sines[half + i];
        dx[half + i] = b * cosines[half + i] + a * sines[i];
    }
}

template <class X, class Y>
void copy(const X* __restrict x, Y* __restrict y, int64_t width) {
    #pragma omp simd
    for (int64_t i = 0; i < width; i++) put(y + i, one(x + i));
}

// A gate opens what lies at the same place of `opened`; the other activations have none.
template <int A, class X>
void bend_all(const X* x, const X* opened, X* y, int64_t count) {
    #pragma omp parallel for simd if (count > ALONE)
    for (int64_t i = 0; i < count; i++) put(y + i, bend<A>(one(x + i)).value * (A == SILU_GATE ? one(opened + i) : 1.f));
}

template <int A, class X>
void bend_back(const X* dy, const X* x, const X* opened, X* dx, X* dopened, int64_t count) {
    #pragma omp parallel for simd if (count > ALONE)
    for (int64_t i = 0; i < count; i++) {
        Bent bent = bend<A>(one(x + i));
        float gradient = one(dy + i);
        if (A == SILU_GATE) put(dopened + i, gradient * bent.value);
        put(dx + i, gradient * bent.slope * (A == SILU_GATE ? one(opened + i) : 1.f));
    }
}

template <class X>
void (*const bend_by_number[])(const X*, const X*, X*, int64_t) = {
    bend_all<SILU_GATE, X>, bend_all<GELU, X>, bend_all<GELU_TANH, X>, bend_all<RELU, X>, bend_all<RELU2, X>,
};

template <class X>
void (*const bend_back_by_number[])(const X*, const X*, const X*, X*, X*, int64_t) = {
    bend_back<SILU_GATE, X>, bend_back<GELU, X>, bend_back<GELU_TANH, X>, bend_back<RELU, X>, bend_back<RELU2, X>,
};

}  // namespace

// Where the heads of a position are: one after the other in the product, by head and position for attention.
struct Heads {
    int64_t batch, positions, queries, keys, width;
    const float* weights[2];       // (D,) of queries and keys, or null: no norm
    const float *cosines, *sines;  // (D,) at each position, or null: no rotation
    int64_t batch_stride, position_stride;
    float eps;
};

namespace {

enum Part { QUERY, KEY, VALUE };

// Calls f(what it is, where in the product, where for attention, which of the inverses) for each head of a position.
template <class F>
void each_head(const Heads& h, int64_t row, F f) {
    int64_t b = row / h.positions, t = row % h.positions, normed = h.queries + h.keys;
    int64_t in_product = row * (normed + h.keys) * h.width, counts[3] = {h.queries, h.keys, h.keys};
    for (int part = QUERY, n = 0; part <= VALUE; part++)
        for (int64_t i = 0; i < counts[part]; i++, n++, in_product += h.width)
            f(part, in_product, ((b * counts[part] + i) * h.positions + t) * h.width, row * normed + n);
}

template <class X>
void heads(const Heads& h, const X* product, X* q, X* k, X* v, float* inverse) {
    X* places[3] = {q, k, v};
    int64_t width = h.width;
    #pragma omp parallel if (h.batch * h.positions * h.queries * width > ALONE)
    {
        std::vector<float> normed(width);
        #pragma omp for
        for (int64_t row = 0; row < h.batch * h.positions; row++) {
            int64_t angles = row / h.positions * h.batch_stride + row % h.positions * h.position_stride;
            each_head(h, row, [&](int part, int64_t in_product, int64_t in_part, int64_t n) {
                const X* x = product + in_product;
                X* y = places[part] + in_part;
                if (part == VALUE) return copy(x, y, width);
                const float* weight = h.weights[part];
                if (weight) norm(x, weight, inverse[n] = inverse_rms(x, width, h.eps), normed.data(), width);
                else copy(x, normed.data(), width);
                if (h.cosines) turn(normed.data(), h.cosines + angles, h.sines + angles, y, width);
                else copy(normed.data(), y, width);
            });
        }
    }
}

template <class X>
void heads_back(const Heads& h, const X* dq, const X* dk, const X* dv, const X* product, const float* inverse,
                X* dproduct, float* dweights) {
    const X* places[3] = {dq, dk, dv};
    int64_t width = h.width;
    Sums sums = {2 * width};
    #pragma omp parallel if (h.batch * h.positions * h.queries * width > ALONE)
    {
        std::vector<float> dnormed(width);
        float* mine = sums.mine();
        #pragma omp for
        for (int64_t row = 0; row < h.batch * h.positions; row++) {
            int64_t angles = row / h.positions * h.batch_stride + row % h.positions * h.position_stride;
            each_head(h, row, [&](int part, int64_t in_product, int64_t in_part, int64_t n) {
                const X* dy = places[part] + in_part;
                X* dx = dproduct + in_product;
                if (part == VALUE) return copy(dy, dx, width);
                if (h.cosines) turn_back(dy, h.cosines + angles, h.sines + angles, dnormed.data(), width);
                else copy(dy, dnormed.data(), width);
                const float *weight = h.weights[part], *d = dnormed.data();
                if (weight) norm_back(d, product + in_product, weight, inverse[n], dx, mine + part * width, width);
                else copy(d, dx, width);
            });
        }
    }
    if (h.weights[QUERY]) sums.add_up(dweights);
}

// f of a number of that kind.
template <class F>
void with(int kind, F f) {
    kind == 0 ? f(float()) : f(BFloat16());
}

}  // namespace

extern "C" {

// x (N, width) -> y, of its own kind, and inverse (N,).
void gptkit_norm(int x_kind, int y_kind, const void* x, const float* weight, void* y, float* inverse, int64_t num,
                 int64_t width, float eps) {
    with(x_kind, [&](auto a) { with(y_kind, [&](auto b) {
        #pragma omp parallel for if (num * width > ALONE)
        for (int64_t i = 0; i < num; i++) {
            auto* from = (decltype(a)*)x + i * width;
            norm(from, weight, inverse[i] = inverse_rms(from, width, eps), (decltype(b)*)y + i * width, width);
        }
    }); });
}

void gptkit_norm_back(int x_kind, int y_kind, const void* dy, const void* x, const float* weight, const float* inverse,
                      void* dx, float* dweight, int64_t num, int64_t width) {
    Sums sums = {width};
    with(x_kind, [&](auto a) { with(y_kind, [&](auto b) {
        #pragma omp parallel if (num * width > ALONE)
        {
            float* mine = sums.mine();
            #pragma omp for
            for (int64_t i = 0; i < num; i++)
                norm_back((decltype(b)*)dy + i * width, (decltype(a)*)x + i * width, weight, inverse[i],
                          (decltype(a)*)dx + i * width, mine, width);
        }
    }); });
    sums.add_up(dweight);
}

// product (B, T, (H + 2 G) D) -> q (B, H, T, D), k and v (B, G, T, D), inverse (B, T, H + G).
void gptkit_heads(int kind, const Heads* h, const void* product, void* q, void* k, void* v, float* inverse) {
    with(kind, [&](auto number) {
        typedef decltype(number)* X;
        heads(*h, (X)product, (X)q, (X)k, (X)v, inverse);
    });
}

// dweights: (2, D), of queries and keys.
void gptkit_heads_back(int kind, const Heads* h, const void* dq, const void* dk, const void* dv, const void* product,
                       const float* inverse, void* dproduct, float* dweights) {
    with(kind, [&](auto number) {
        typedef decltype(number)* X;
        heads_back(*h, (X)dq, (X)dk, (X)dv, (X)product, inverse, (X)dproduct, dweights);
    });
}

// x, and `opened` of a gate -> y, `count` of each.
void gptkit_bend(int kind, int activation, const void* x, const void* opened, void* y, int64_t count) {
    with(kind, [&](auto number) {
        typedef decltype(number) X;
        bend_by_number<X>[activation]((X*)x, (X*)opened, (X*)y, count);
    });
}

void gptkit_bend_back(int kind, int activation, const void* dy, const void* x, const void* opened, void* dx,
                      void* dopened, int64_t count) {
    with(kind, [&](auto number) {
        typedef decltype(number) X;
        bend_back_by_number<X>[activation]((X*)dy, (X*)x, (X*)opened, (X*)dx, (X*)dopened, count);
    });
}

// x -> y, `count` of each.
void gptkit_drop(int kind, const void* x, void* y, int64_t count, const Dropping* d) {
    with(kind, [&](auto number) { drop((decltype(number)*)x, (decltype(number)*)y, count, *d); });
}

// scores (M, T, S) -> weights in their place; kept, the same shape or null: what dropout makes of them.
void gptkit_weigh(int kind, const View* view, const Dropping* d, void* scores, void* kept) {
    with(kind, [&](auto number) { weigh(*view, *d, (decltype(number)*)scores, (decltype(number)*)kept); });
}

// gradient (M, T, S) of what dropout made of the weights -> that of the scores, in its place; kept as above.
void gptkit_weigh_back(int kind, const View* view, const Dropping* d, const void* weights, void* gradient,
                       void* kept) {
    with(kind, [&](auto number) {
        typedef decltype(number)* X;
        weigh_back(*view, *d, (X)weights, (X)gradient, (X)kept);
    });
}

}
