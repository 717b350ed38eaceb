/* Inside core/iis only. */
#ifndef CORE_IIS_IIS_INT_H
#define CORE_IIS_IIS_INT_H

#include "core/iis/iis.h"

#define IIS_ARENA_LIMIT ((size_t)32 << 20)
#define IIS_TEXT_MAX    1024 /* a longer path, name or SPN is no path, name or SPN */

/* The location of that path, made when there is none. The path is normalised: no slash at its ends. *index NULL is fine. */
enum err iis_location_make(struct iis_config *c, const char *path, size_t *index);
/* Names of flags in an attribute, "Ssl, Ssl128" or a number; what is not known is left out. */
uint32_t iis_flags_from(const char *s);
uint32_t iis_protection_flags_from(const char *s);
uint32_t iis_provider_from(const char *s);

#endif
