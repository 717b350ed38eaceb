/*
 * The spellings of routing.csv as names of enumerators, for the generated table only.
 */
#ifndef CORE_ROUTE_ROW_NAMES_H
#define CORE_ROUTE_ROW_NAMES_H

#include "core/route/route.h"

#define ROW_PROTOCOL_OUTLOOKANYWHERE  PROTOCOL_OA
#define ROW_PROTOCOL_MAPI_HTTP        PROTOCOL_MAPI
#define ROW_PROTOCOL_OWA              PROTOCOL_OWA
#define ROW_PROTOCOL_ECP              PROTOCOL_ECP
#define ROW_PROTOCOL_EAS              PROTOCOL_EAS
#define ROW_PROTOCOL_EWS              PROTOCOL_EWS
#define ROW_PROTOCOL_OAB              PROTOCOL_OAB
#define ROW_PROTOCOL_AUTODISCOVER     PROTOCOL_AUTODISCOVER
#define ROW_PROTOCOL_REMOTEPOWERSHELL PROTOCOL_POWERSHELL
#define ROW_PROTOCOL_POP3             PROTOCOL_POP
#define ROW_PROTOCOL_IMAP4            PROTOCOL_IMAP
#define ROW_PROTOCOL_A                PROTOCOL_UNKNOWN /* "*" */
#define ROW_FRONT_FBA                 ROUTE_FRONT_FBA
#define ROW_FRONT_NON_FBA             ROUTE_FRONT_NON_FBA
#define ROW_FRONT_N_A                 ROUTE_FRONT_NA
#define ROW_FRONT_A                   ROUTE_FRONT_NA /* "*" */

#endif
