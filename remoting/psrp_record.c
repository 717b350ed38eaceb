#include <string.h>

#include "core/base/str.h"
#include "remoting/psrp_int.h"

/* System.Management.Automation.ErrorCategory, by number (2.2.3.9). */
static const char *const categories[] = {
    "NotSpecified",     "OpenError",           "CloseError",       "DeviceError",         "DeadlockDetected",
    "InvalidArgument",  "InvalidData",         "InvalidOperation", "InvalidResult",       "InvalidType",
    "MetadataError",    "NotImplemented",      "NotInstalled",     "ObjectNotFound",      "OperationStopped",
    "OperationTimeout", "SyntaxError",         "ParserError",      "PermissionDenied",    "ResourceBusy",
    "ResourceExists",   "ResourceUnavailable", "ReadError",        "WriteError",          "FromStdErr",
    "SecurityError",    "ProtocolError",       "ConnectionError",  "AuthenticationError", "LimitsExceeded",
    "QuotaExceeded",    "NotEnabled"};

static const char *or_null(const char *s)
{
    return s && *s ? s : NULL;
}

void psrp_read_error(struct psrp_error *out, const struct ps_value *record)
{
    int64_t category;
    const char *message = or_null(ps_get_text(record, "ErrorDetails_Message"));
    if (!message)
        message = or_null(ps_get_text(ps_get(record, "Exception"), "Message"));
    if (!message)
        message = or_null(ps_text(record));
    if (!message)
        message = or_null(ps_text(ps_get(record, "Exception")));
    out->message = message ? message : "an error without a message";
    out->id = or_null(ps_get_text(record, "FullyQualifiedErrorId"));
    out->category = NULL;
    if (ps_get_int(record, "ErrorCategory_Category", &category) && category >= 0 &&
        category < (int64_t)ARRAY_LEN(categories))
        out->category = categories[category];
    out->target = or_null(ps_get_text(record, "ErrorCategory_TargetName"));
    if (!out->target)
        out->target = or_null(ps_get_text(record, "TargetObject"));
}

const char *psrp_read_text(const struct ps_value *record)
{
    static const char *const where[] = {"InformationalRecord_Message", "MessageData", "Message"};
    const char *text = NULL;
    for (size_t i = 0; !text && i < ARRAY_LEN(where); i++)
        text = ps_get_text(record, where[i]);
    if (!text)
        text = ps_text(record);
    return text ? text : "";
}

/* name, waits for an answer: 1 to 56 without a gap */
static const struct {
    const char *name;
    bool waits;
} methods[] = {{"GetName", true},
               {"GetVersion", true},
               {"GetInstanceId", true},
               {"GetCurrentCulture", true},
               {"GetCurrentUICulture", true},
               {"SetShouldExit", false},
               {"EnterNestedPrompt", false},
               {"ExitNestedPrompt", false},
               {"NotifyBeginApplication", false},
               {"NotifyEndApplication", false},
               {"ReadLine", true},
               {"ReadLineAsSecureString", true},
               {"Write1", false},
               {"Write2", false},
               {"WriteLine1", false},
               {"WriteLine2", false},
               {"WriteLine3", false},
               {"WriteErrorLine", false},
               {"WriteDebugLine", false},
               {"WriteProgress", false},
               {"WriteVerboseLine", false},
               {"WriteWarningLine", false},
               {"Prompt", true},
               {"PromptForCredential1", true},
               {"PromptForCredential2", true},
               {"PromptForChoice", true},
               {"GetForegroundColor", true},
               {"SetForegroundColor", false},
               {"GetBackgroundColor", true},
               {"SetBackgroundColor", false},
               {"GetCursorPosition", true},
               {"SetCursorPosition", false},
               {"GetWindowPosition", true},
               {"SetWindowPosition", false},
               {"GetCursorSize", true},
               {"SetCursorSize", false},
               {"GetBufferSize", true},
               {"SetBufferSize", false},
               {"GetWindowSize", true},
               {"SetWindowSize", false},
               {"GetWindowTitle", true},
               {"SetWindowTitle", false},
               {"GetMaxWindowSize", true},
               {"GetMaxPhysicalWindowSize", true},
               {"GetKeyAvailable", true},
               {"ReadKey", true},
               {"FlushInputBuffer", false},
               {"SetBufferContents1", false},
               {"SetBufferContents2", false},
               {"GetBufferContents", true},
               {"ScrollBufferContents", false},
               {"PushRunspace", false},
               {"PopRunspace", false},
               {"GetIsRunspacePushed", true},
               {"GetRunspace", true},
               {"PromptForChoiceMultipleSelection", true}};

const char *psrp_host_method(int64_t number, bool *waits)
{
    if (number < 1 || number > (int64_t)ARRAY_LEN(methods)) {
        *waits = true; /* an answer too many harms less than a server that waits */
        return "an unknown method";
    }
    *waits = methods[number - 1].waits;
    return methods[number - 1].name;
}
