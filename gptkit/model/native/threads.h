// When a loop is worth more than one thread.
#pragma once

#include "numbers.h"

constexpr int64_t ALONE = 1 << 14;  // numbers up to which one thread is as fast
