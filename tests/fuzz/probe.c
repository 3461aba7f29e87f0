/* Two mistakes on purpose, built with the sanitizers like the kernels: were they not reported, nothing would be. */
#include <stddef.h>
#include <stdint.h>

int probe_read(const uint8_t *data, ptrdiff_t at)
{
    return data[at];
}

int64_t probe_add(int64_t a, int64_t b)
{
    return a + b;
}
