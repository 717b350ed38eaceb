/*
 * Memory that a library forgets, and that is not ours to find: what it allocates between the two is not looked for when leaks are.
 * The macros stand in one thread's straight line, not around calls that allocate for us.
 */
#ifndef CORE_BASE_FOREIGN_H
#define CORE_BASE_FOREIGN_H

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#define FOREIGN_LEAKS_BEGIN() __lsan_disable()
#define FOREIGN_LEAKS_END()   __lsan_enable()
#else
#define FOREIGN_LEAKS_BEGIN() (void)0
#define FOREIGN_LEAKS_END()   (void)0
#endif

#endif
