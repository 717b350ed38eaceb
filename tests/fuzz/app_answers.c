/* EWS answers; and with the same bytes the offline address book's manifest, OWA's pages and the header values of the others. */
#include "core/probe/app_answers.h"
#include "core/base/err.h"
#include "core/base/str.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void headers(const char *text)
{
    struct buf detail;
    struct version v;
    const char *newest = eas_newest(text);
    buf_init(&detail, 1 << 20);
    ASSERT(eas_judge_options("14.3", text, text, &detail) != OUTCOME_OK || newest);
    ASSERT(!mapi_version(text, &v) || v.major >= 15);
    ASSERT(!owa_version(text, &v) || (v.major >= 8 && v.major <= 15));
    (void)owa_is_logon_url(text);
    buf_fini(&detail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ews_answer a;
    struct oab_manifest m;
    struct owa_page page;
    struct errinfo ei = {0};
    const char *bytes = (const char *)data;
    if (ews_parse(&a, bytes, size, &ei) == ERR_OK) {
        ASSERT(utf8_valid(a.code, strlen(a.code)) && utf8_valid(a.text, strlen(a.text)));
        ASSERT(utf8_valid(a.folder, strlen(a.folder)));
        (void)ews_code_words(a.code);
    } else {
        ASSERT(ei.what[0]);
    }
    if (oab_parse(&m, bytes, size, NULL) == ERR_OK)
        ASSERT(m.lists > 0 && (m.full || !m.is_version4));
    owa_page_read(&page, bytes, size);
    ASSERT(!page.has_version || page.version.major >= 8);
    char *text = strndup(bytes ? bytes : "", size);
    if (text)
        headers(text);
    free(text);
    return 0;
}
