/* Edge counters of code built with -fsanitize-coverage=trace-pc, in the form that libFuzzer reads.
 *
 * GCC knows only the callback; libFuzzer wants an array of 8-bit counters that it can clear. Preloaded, this
 * library is the callback, and `tests/fuzz/guided.py` hands the array over to libFuzzer. Colliding program
 * counters share a counter, which costs feedback and nothing else.
 */
#include <stdint.h>

#define COUNTERS 65536

uint8_t e645_counters[COUNTERS];

void __sanitizer_cov_trace_pc(void)
{
    uintptr_t place = (uintptr_t)__builtin_return_address(0);
    e645_counters[(uint32_t)(place ^ place >> 16) * 2654435761u >> 16]++;
}
