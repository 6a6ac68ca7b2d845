// One token for each row through a whole model, in one call; gptkit/generation/native/__init__.py says when.
//
// The law: what a row gets does not depend on the other rows. Every sum is made in one order whatever the number
// of rows. Arithmetic is float32, but for products with AMX (products.h).
//
// Shapes: R rows, C channels, H query heads, G key/value heads, D channels of a head, F MLP width, V vocabulary.

#include "activations.h"
#include "draw.h"
#include "products.h"

struct Norm { const float *weight, *bias; float eps; int32_t centred; };

struct Layer { Norm attention_norm; Matrix qkv, out; const float* heads_norm; Norm mlp_norm; Matrix up, gate, down; };

struct Model {
    int32_t n_layer, n_head, n_kv_head, head_dim, window, activation, kind, threads;
    int32_t embedding_kind;
    float heads_eps, softcap;  // softcap 0: none
    const void* embedding;     // (V, C)
    const float* places;       // (positions, C), what is added to it, or null
    const float* angles;       // (positions, 2, D) cosines and signed sines, or null
    const Layer* layers;
    Norm final_norm;
    Matrix head;
};

struct Call {
    int64_t num_rows, row_stride, num_scores;
    int64_t* positions;        // (R,), of the new tokens; one further afterwards
    const int64_t* tokens;     // (R,)
    float* x;                  // (R, C): what they start from, overwritten; null: their embeddings
    void* const* caches;       // of each layer: (R, places, 2, G, D), row_stride numbers a row
    float* scratch;
    float* scores;             // (threads, num_scores)
    float* logits;             // (R, V)
};

namespace {

// Tokens from the one whose key or value is read to the one whose is asked for.
constexpr int64_t SEEN_AHEAD = 16;

// With the activation known, each loop becomes one of vectors.
template <int A>
void bend_part(float* h, const float* opened, Share mine) {
    for (int64_t i = mine.from; i < mine.to; i++) h[i] = bend<A>(h[i]).value * (A == SILU_GATE ? opened[i] : 1.f);
}

void (*const bend_row[])(float*, const float*, Share) = {
    bend_part<SILU_GATE>, bend_part<GELU>, bend_part<GELU_TANH>, bend_part<RELU>, bend_part<RELU2>,
};

void normalise(const Norm& norm, const float* x, float* y, int width) {
    float mean = norm.centred ? total(x, width) / width : 0.f;
    for (int k = 0; k < width; k++) y[k] = x[k] - mean;
    float scale = 1.f / std::sqrt(dot(y, y, width) / width + norm.eps);
    for (int k = 0; k < width; k++) y[k] = y[k] * scale * norm.weight[k];
    if (norm.bias)
        for (int k = 0; k < width; k++) y[k] += norm.bias[k];
}

// Normalise a head's query or key, and turn it by its position's angles.
void turn(const Model& model, const float* weight, int64_t position, float* x) {
    int width = model.head_dim, half = width / 2;
    if (weight) normalise({weight, nullptr, model.heads_eps, 0}, x, x, width);
    if (!model.angles) return;
    const float *cosines = model.angles + position * 2 * width, *sines = cosines + width;
    for (int i = 0; i < half; i++) {
        float a = x[i], b = x[half + i];
        x[i] = a * cosines[i] + b * sines[i];
        x[half + i] = b * cosines[half + i] + a * sines[half + i];
    }
}

// out (width) = the sum of weights[t] * values[t], in registers, N times LANES channels from `from` on.
template <int N, class K>
inline int weigh(const float* weights, int64_t count, const K* values, int64_t step, int width, int from, float* out) {
    for (; from + N * LANES <= width; from += N * LANES) {
        Lanes sums[N] = {};
        for (int64_t t = 0; t < count; t++) {
            const K* value = values + t * step + from;
            for (int n = 0; n < N; n++) __builtin_prefetch(value + SEEN_AHEAD * step + n * LANES);
            Lanes weight = spread(weights[t]);
            for (int n = 0; n < N; n++) sums[n] = multiply_add(weight, load(value + n * LANES), sums[n]);
        }
        for (int n = 0; n < N; n++) put(out + from + n * LANES, sums[n]);
    }
    return from;
}

// The query heads of a row that share a key head: qkv (H + 2 G, D) -> y (H, D); keys and values stay in kv.
template <class K>
void attend(const Model& model, const float* heads_norm, int group, int64_t position, float* qkv, K* kv,
            float* scores, float* y) {
    int width = model.head_dim, sharing = model.n_head / model.n_kv_head;
    int64_t step = 2 * (int64_t)model.n_kv_head * width;
    K *keys = kv + group * width, *values = keys + step / 2;
    float *key = qkv + (model.n_head + group) * width, *value = key + model.n_kv_head * width;
    turn(model, heads_norm ? heads_norm + (model.n_head + group) * width : nullptr, position, key);
    for (int i = 0; i < width; i++) {
        put(keys + position * step + i, key[i]);
        put(values + position * step + i, value[i]);
    }
    int64_t first = model.window && position >= model.window ? position - model.window + 1 : 0;
    float scale = 1.f / std::sqrt((float)width);
    for (int head = group * sharing; head < (group + 1) * sharing; head++) {
        float *query = qkv + head * width, *out = y + head * width;
        turn(model, heads_norm ? heads_norm + head * width : nullptr, position, query);
        int64_t count = position + 1 - first, t = 0, ahead = SEEN_AHEAD * step * sizeof(K);
        const K* key_at = keys + first * step;
        for (; t + 4 <= count; t += 4) tile<1, 4>(query, key_at + t * step, step, width, ahead, scores + t);
        for (; t < count; t++) scores[t] = dot(query, key_at + t * step, width);
        float largest = largest_of(scores, count);
        for (t = 0; t < count; t++) scores[t] = exponential((scores[t] - largest) * scale);
        const K* value_at = values + first * step;
        int done = weigh<4>(scores, count, value_at, step, width, 0, out);
        done = weigh<1>(scores, count, value_at, step, width, done, out);
        for (; done < width; done++)
            for (out[done] = 0.f, t = 0; t < count; t++) out[done] += scores[t] * one(value_at + t * step + done);
        float share_of_one = 1.f / total(scores, count);
        for (int i = 0; i < width; i++) out[i] *= share_of_one;
    }
}

template <class E>
void embed(const Model& model, int64_t token, int64_t position, float* x) {
    int width = model.head.cols;
    const E* embedding = (const E*)model.embedding + token * width;
    const float* place = model.places + position * width;
    for (int k = 0; k < width; k++) x[k] = model.places ? one(embedding + k) + place[k] : one(embedding + k);
}

// Hands out scratch memory, as NativeStep in model.py counts it.
struct Room {
    float* next;
    float* values(int64_t count) {
        float* here = next;
        next += (count + 15) / 16 * 16;
        return here;
    }
    Input input(int num_rows, int cols) {
        float* rows = values((int64_t)num_rows * cols);
        int64_t groups = (num_rows + 15) / 16;
        return {rows, (uint32_t*)values(groups * 16 * (cols / 2)), num_rows, cols};
    }
};

template <class W, class K>
void run(const Model& model, const Call& call, Jobs jobs) {
    int num_rows = call.num_rows, groups = model.n_kv_head, width = model.head.cols;
    const Layer& any = model.layers[0];
    Room room = {call.scratch};
    Input normed = room.input(num_rows, width), attended = room.input(num_rows, any.out.cols);
    Input h = room.input(num_rows, any.down.cols);
    float* qkv = room.values(num_rows * (int64_t)any.qkv.rows);
    float* opened = room.values(any.gate.weight ? num_rows * (int64_t)h.cols : 0);
    float* x = call.x ? call.x : room.values(num_rows * (int64_t)width);
    if (model.head_dim % 2) attended.pairs = nullptr;  // a pair would be of two threads
    float* scores = call.scores + omp_get_thread_num() * call.num_scores;
    Share part;
    auto prepare = [&](const Matrix& m) { return jobs.offer(m.rows, rows_of_a_part<W>(m)); };
    auto ready = [&](const Input& x, int64_t row, int64_t from, int64_t to) {
        if (amx && sizeof(W) == 2 && x.pairs) pack(x, row, from, to);
    };
    auto norm_rows = [&](const Norm& norm) {
        Share mine = share(num_rows, 1);
        for (int64_t row = mine.from; row < mine.to; row++) {
            normalise(norm, x + row * width, normed.row(row), width);
            ready(normed, row, 0, width);
        }
        #pragma omp barrier
    };
    Share mine = share(num_rows, 1);  // as for the norm that follows
    for (int64_t row = mine.from; row < mine.to && !call.x; row++)
        (model.embedding_kind ? embed<BFloat16> : embed<float>)(model, call.tokens[row], call.positions[row], x + row * width);
    Job product = prepare(any.qkv);
    for (int i = 0; i < model.n_layer; i++) {
        const Layer& layer = model.layers[i];
        norm_rows(layer.attention_norm);
        while (product.take(part)) multiply<W>(layer.qkv, normed, qkv, false, part);
        Job heads = jobs.offer((int64_t)num_rows * groups, 1);
        product = prepare(layer.out);
        #pragma omp barrier
        while (heads.take(part)) {
            int64_t row = part.from / groups, group = part.from % groups, channels = attended.cols / groups;
            attend(model, layer.heads_norm, group, call.positions[row], qkv + row * layer.qkv.rows,
                   (K*)call.caches[i] + row * call.row_stride, scores, attended.row(row));
            ready(attended, row, group * channels, (group + 1) * channels);
        }
        #pragma omp barrier
        while (product.take(part)) multiply<W>(layer.out, attended, x, true, part);
        product = prepare(layer.up);
        #pragma omp barrier
        norm_rows(layer.mlp_norm);
        while (product.take(part)) {
            bool gated = layer.gate.weight;
            if (gated) multiply<W>(layer.up, normed, opened, false, part);
            multiply<W>(gated ? layer.gate : layer.up, normed, h.values, false, part);
            for (int64_t row = 0; row < num_rows; row++) {
                bend_row[model.activation](h.row(row), opened + row * h.cols, part);
                ready(h, row, part.from, part.to);
            }
        }
        product = prepare(layer.down);
        #pragma omp barrier
        while (product.take(part)) multiply<W>(layer.down, h, x, true, part);
        product = prepare(i + 1 < model.n_layer ? model.layers[i + 1].qkv : model.head);
        #pragma omp barrier
    }
    norm_rows(model.final_norm);
    while (product.take(part)) {
        multiply<W>(model.head, normed, call.logits, false, part);
        if (!model.softcap) continue;
        for (int64_t row = 0; row < num_rows; row++)
            for (int64_t n = part.from; n < part.to; n++) {
                float* at = call.logits + row * model.head.rows + n;
                *at = model.softcap * std::tanh(*at / model.softcap);
            }
    }
}

}  // namespace

extern "C" void gptkit_step(const Model* model, const Call* call) {
    std::vector<uint64_t> left((5 * model->n_layer + 1) * model->threads);
    Jobs jobs = {left.data()};
    #pragma omp parallel num_threads(model->threads)
    {
        if (model->kind == 0) run<float, float>(*model, *call, jobs);
        else if (model->kind == 1) run<BFloat16, BFloat16>(*model, *call, jobs);
        else run<int8_t, BFloat16>(*model, *call, jobs);
    }
    for (int64_t row = 0; row < call->num_rows; row++) call->positions[row]++;
}
