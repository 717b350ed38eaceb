#include "core/probe/apps.h"

#include "core/probe/app_int.h"

typedef void app_fn(struct target *t, bool last);

static app_fn *const apps[PROTOCOL_COUNT + 1] = {
    [PROTOCOL_MAPI] = app_mapi,
    [PROTOCOL_OWA] = app_owa,
    [PROTOCOL_ECP] = app_ecp,
    [PROTOCOL_EWS] = app_ews,
    [PROTOCOL_EAS] = app_eas,
    [PROTOCOL_OAB] = app_oab,
    [PROTOCOL_AUTODISCOVER] = app_autodiscover,
    [PROTOCOL_POWERSHELL] = app_powershell,
};

void app_probe(struct target *t, enum protocol p, bool last)
{
    if (apps[p])
        apps[p](t, last);
}
