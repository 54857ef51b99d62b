// sched.h's affinity calls, which Swift does not see: they need _GNU_SOURCE and macros.
#define _GNU_SOURCE
#include <sched.h>

#include "include/ckernels.h"

size_t ck_processors_allowed(int32_t *processors, size_t capacity) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  size_t count = 0;
  for (int32_t i = 0; i < CPU_SETSIZE && count < capacity; i++) {
    if (CPU_ISSET(i, &set)) processors[count++] = i;
  }
  return count;
}

void ck_processors_pin(int32_t processor) {
  if (processor < 0 || processor >= CPU_SETSIZE) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
}
