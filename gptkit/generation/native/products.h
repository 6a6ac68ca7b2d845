// y = x W^T + b for a few rows x, each as if it were alone; W is read once, where it lies.
//
//     float32, bfloat16, int8   x stays float32; sums of lanes over the columns, added up at the end
//     bfloat16 with AMX         x is rounded to bfloat16; 16 rows of W times up to 64 of x in one pass
//
// Which of the two depends on the processor and the shape of W, never on the number of rows.
#pragma once

#include "work.h"
#if defined(__AMX_BF16__) && defined(__AVX512BF16__) && defined(__linux__)
#define GPTKIT_AMX
#include <sys/syscall.h>
#include <unistd.h>
#endif

struct Matrix {
    const void* weight;  // (rows, cols)
    const float* scale;  // (rows,), of int8, or null
    const float* bias;   // (rows,), or null
    int32_t rows, cols;
};

// Rows to multiply: as they are and, for AMX, rounded and interleaved.
struct Input {
    float* values;     // (R, cols)
    uint32_t* pairs;   // (groups of rows, cols / 2, rows of a group): two neighbouring columns each; or null
    int num_rows, cols;

    float* row(int64_t i) const { return values + i * cols; }
    int group_rows() const { return num_rows < 16 ? num_rows : 16; }
    uint32_t* group(int i) const { return pairs + (int64_t)i * (cols / 2) * 16; }
};

// Bytes from what is read to what is asked for: neighbouring rows come in pieces too short for the processor to guess.
constexpr int64_t AHEAD = 8192;
// Rows that one row of x is multiplied with at a time. They lie far apart: of so many streams the processor fetches
// each ahead by itself, and memory gives a third more than it gives to one.
constexpr int STREAMS = 8;

// sums[r * N + n] = x[r] . w[n], R rows of x and N of W; each sum is made in the same order whatever R and N.
template <int R, int N, class W>
inline void tile(const float* x, const W* w, int64_t stride, int cols, int64_t ahead, float* sums) {
    Lanes parts[(R * N + 3) / 4 * 4] = {};
    int k = 0;
    for (; k + LANES <= cols; k += LANES) {
        Lanes ws[N];
        for (int n = 0; n < N; n++) {
            ws[n] = load(w + n * stride + k);
            if (ahead) __builtin_prefetch((const char*)(w + n * stride + k) + ahead);
        }
        for (int r = 0; r < R; r++) {
            Lanes xs = load(x + (int64_t)r * cols + k);
            keep(xs);
            for (int n = 0; n < N; n++) parts[r * N + n] = multiply_add(xs, ws[n], parts[r * N + n]);
        }
    }
    float found[(R * N + 3) / 4 * 4];
#pragma GCC unroll 8
    for (int i = 0; i < R * N; i += 4) sum4(parts + i, found + i);
    for (int i = 0; i < R * N; i++) {
        for (int rest = k; rest < cols; rest++)
            found[i] += x[(int64_t)(i / N) * cols + rest] * one(w + i % N * stride + rest);
        sums[i] = found[i];
    }
}

template <class W>
inline float dot(const float* x, const W* w, int cols) {
    float result;
    tile<1, 1>(x, w, 0, cols, 0, &result);
    return result;
}

inline void store(const Matrix& m, int64_t row, int64_t n, float value, float* y, bool add) {
    if (m.scale) value *= m.scale[n];
    if (m.bias) value += m.bias[n];
    float* to = y + row * m.rows + n;
    *to = add ? *to + value : value;
}

// R rows of x times N of W, `apart` rows from each other.
template <int R, int N, class W>
inline void multiply_tile(const Matrix& m, const float* x, int64_t row, int64_t n, int64_t apart, int64_t ahead,
                          float* y, bool add) {
    float sums[R * N];
    tile<R, N>(x + row * m.cols, (const W*)m.weight + n * m.cols, apart * m.cols, m.cols, ahead, sums);
    for (int r = 0; r < R; r++)
        for (int i = 0; i < N; i++) store(m, row + r, n + i * apart, sums[r * N + i], y, add);
}

template <int R, int N, class W>
inline void multiply_rows(const Matrix& m, const float* x, int64_t row, Share part, float* y, bool add) {
    int64_t n = part.from;
    for (; n + N <= part.to; n += N) multiply_tile<R, N, W>(m, x, row, n, 1, AHEAD, y, add);
    for (; n < part.to; n++) multiply_tile<R, 1, W>(m, x, row, n, 1, AHEAD, y, add);
}

template <class W>
inline void multiply_one(const Matrix& m, const float* x, Share part, float* y, bool add) {
    int64_t apart = (part.to - part.from) / STREAMS, n = part.from;
    for (; n < part.from + apart; n++) multiply_tile<1, STREAMS, W>(m, x, 0, n, apart, 0, y, add);
    for (n += apart * (STREAMS - 1); n < part.to; n++) multiply_tile<1, 1, W>(m, x, 0, n, 1, 0, y, add);
}

// Blocks of W that stay in the cache while all rows use them.
template <class W>
void multiply_by_lanes(const Matrix& m, const float* x, int num_rows, Share all, float* y, bool add) {
    constexpr int BLOCK = 48;
    if (num_rows == 1) return multiply_one<W>(m, x, all, y, add);
    for (int64_t from = all.from; from < all.to; from += BLOCK) {
        Share part = {from, from + BLOCK < all.to ? from + BLOCK : all.to};
        int64_t row = 0;
        for (; row + TILE_ROWS <= num_rows; row += TILE_ROWS)
            multiply_rows<TILE_ROWS, TILE_COLS, W>(m, x, row, part, y, add);
        for (; row < num_rows; row++) multiply_rows<1, 4, W>(m, x, row, part, y, add);
    }
}

#ifdef GPTKIT_AMX

// Linux lets a process use the tiles once it has asked.
static const bool amx = syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* XTILEDATA */) == 0;

inline bool takes_amx(const Input& x, const BFloat16*) { return amx && x.pairs && x.cols % 32 == 0; }
template <class W> inline bool takes_amx(const Input&, const W*) { return false; }

struct alignas(64) TileShapes {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};

    explicit TileShapes(int group_rows) {
        for (int i = 0; i < 6; i++) rows[i] = 16, bytes[i] = 4 * group_rows;
        bytes[4] = 64;  // W
    }
};

// out[g] (16, 16) = 16 rows of W, `stride` bytes from each other, times G groups of rows of x.
template <int G>
inline void amx_block(const uint16_t* w, int64_t stride, const Input& x, int first_group, float out[4][256]) {
    int64_t x_stride = 4 * x.group_rows();
    const uint32_t* pairs[G];
    for (int g = 0; g < G; g++) pairs[g] = x.group(first_group + g);
    _tile_zero(0);
    if (G > 1) _tile_zero(1);
    if (G > 2) _tile_zero(2);
    if (G > 3) _tile_zero(3);
    for (int64_t k = 0; k < x.cols; k += 32) {
        int64_t at = k / 2 * x.group_rows();
        _tile_loadd(4, w + k, stride);
        _tile_loadd(5, pairs[0] + at, x_stride);
        _tile_dpbf16ps(0, 4, 5);
        if (G > 1) { _tile_loadd(5, pairs[G > 1] + at, x_stride); _tile_dpbf16ps(1, 4, 5); }
        if (G > 2) { _tile_loadd(5, pairs[G > 2 ? 2 : 0] + at, x_stride); _tile_dpbf16ps(2, 4, 5); }
        if (G > 3) { _tile_loadd(5, pairs[G > 3 ? 3 : 0] + at, x_stride); _tile_dpbf16ps(3, 4, 5); }
    }
    _tile_stored(0, out[0], 64);
    if (G > 1) _tile_stored(1, out[1], 64);
    if (G > 2) _tile_stored(2, out[2], 64);
    if (G > 3) _tile_stored(3, out[3], 64);
}

// 16 rows at a time, as far apart as they can be (see STREAMS); returns where they end.
inline int64_t multiply_by_amx(const Matrix& m, const Input& x, Share part, float* y, bool add) {
    alignas(64) float out[4][256];
    TileShapes shapes(x.group_rows());
    _tile_loadconfig(&shapes);
    int64_t apart = (part.to - part.from) / 16, stride = 2 * apart * m.cols;
    for (int64_t n = part.from; n < part.from + apart; n++)
        for (int first = 0; 16 * first < x.num_rows; first += 4) {
            const uint16_t* w = (const uint16_t*)m.weight + n * m.cols;
            int groups = (x.num_rows + 15) / 16 - first;
            if (groups == 1) amx_block<1>(w, stride, x, first, out);
            else if (groups == 2) amx_block<2>(w, stride, x, first, out);
            else if (groups == 3) amx_block<3>(w, stride, x, first, out);
            else amx_block<4>(w, stride, x, first, out);
            for (int row = 16 * first; row < x.num_rows && row < 16 * (first + 4); row++)
                for (int i = 0; i < 16; i++)
                    store(m, row, n + i * apart, out[row / 16 - first][16 * i + row % 16], y, add);
        }
    _tile_release();
    return part.from + 16 * apart;
}

// Make some columns of a row, a multiple of 2, ready for AMX.
inline void pack(const Input& x, int64_t row, int64_t from, int64_t to) {
    int step = x.group_rows();
    uint32_t* pairs = x.group(row / 16) + row % 16;
    const float* values = x.row(row);
    for (int64_t k = from / 2; k < to / 2; k++) {
        BFloat16 low, high;
        put(&low, values[2 * k]);
        put(&high, values[2 * k + 1]);
        pairs[k * step] = low.bits | (uint32_t)high.bits << 16;
    }
}

#else

constexpr bool amx = false;
template <class W> inline bool takes_amx(const Input&, const W*) { return false; }
inline int64_t multiply_by_amx(const Matrix&, const Input&, Share part, float*, bool) { return part.from; }
inline void pack(const Input&, int64_t, int64_t, int64_t) {}

#endif

// y (R, rows) = or += x W^T + bias: some columns of it, from a multiple of 16 on.
template <class W>
void multiply(const Matrix& m, const Input& x, float* y, bool add, Share part) {
    if (takes_amx(x, (const W*)nullptr)) part.from = multiply_by_amx(m, x, part, y, add);
    multiply_by_lanes<W>(m, x.values, x.num_rows, part, y, add);
}

// Rows of W that a thread takes at a time, a multiple of 16: some microseconds' worth, and enough parts for all threads.
template <class W>
int64_t rows_of_a_part(const Matrix& m) {
    constexpr int64_t BYTES = 196608, MOST = 128, PARTS_OF_A_THREAD = 4;
    int64_t rows = BYTES / (m.cols * (int64_t)sizeof(W)), even = m.rows / (PARTS_OF_A_THREAD * omp_get_num_threads());
    rows = rows < even ? rows : even;
    return rows < 32 ? 16 : rows < MOST ? rows / 16 * 16 : MOST;
}
