// Work for all threads. Cores are not equally fast (another program has one, or they are of two kinds): with equal
// shares the slower one is waited for in every product, which took a quarter of a step on a machine of two.
#pragma once

#include <cstdint>
#include <omp.h>

struct Share { int64_t from, to; };

// This thread's part of `count`, in multiples of `unit`.
inline Share share(int64_t count, int64_t unit) {
    int64_t units = (count + unit - 1) / unit, threads = omp_get_num_threads(), i = omp_get_thread_num();
    int64_t from = units * i / threads * unit, to = units * (i + 1) / threads * unit;
    return {from < count ? from : count, to < count ? to : count};
}

// Things that are done in parts of `unit`: a thread takes those of its own share, in order, and then from the end of
// the others' shares what they have not begun.
struct Job {
    uint64_t* left;  // (threads,) of each share, the next part and, in the high half, the end
    int64_t count, unit;

    bool take(Share& part) const {
        int threads = omp_get_num_threads(), self = omp_get_thread_num();
        for (int i = 0; i < threads; i++) {
            uint64_t *at = left + (self + i) % threads, had = __atomic_load_n(at, __ATOMIC_RELAXED);
            for (uint32_t next; (next = had) < had >> 32;) {
                uint64_t rest = i ? had - (1ull << 32) : had + 1;
                if (!__atomic_compare_exchange_n(at, &had, rest, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) continue;
                int64_t from = (i ? (had >> 32) - 1 : next) * unit;
                part = {from, from + unit < count ? from + unit : count};
                return true;
            }
        }
        return false;
    }
};

// Hands out the jobs of a step, in the same order to all threads.
struct Jobs {
    uint64_t* next;

    // Before the barrier behind which it is done.
    Job offer(int64_t count, int64_t unit) {
        Share mine = share((count + unit - 1) / unit, 1);
        Job job = {next, count, unit};
        next += omp_get_num_threads();
        job.left[omp_get_thread_num()] = mine.from | (uint64_t)mine.to << 32;
        return job;
    }
};
