#include <string.h>

#include "core/base/str.h"
#include "remoting/psrp_int.h"
#include "remoting/psxml.h"

#define NAMES(...)    ((const char *const[]){__VA_ARGS__})
#define ENUM_OF(type) type, "System.Enum", "System.ValueType", "System.Object"

static const char object_list[] =
    "System.Collections.Generic.List`1[[System.Management.Automation.PSObject, System.Management.Automation, "
    "Version=1.0.0.0, Culture=neutral, PublicKeyToken=31bf3856ad364e35]]";

static enum err finish(struct buf *out, const struct arena *a, const struct ps_value *v, struct errinfo *ei)
{
    if (!v || a->failed)
        return err_set(ei, ERR_LIMIT, NULL, "PSRP: no room for a message");
    return psxml_write(out, v, ei);
}

static void add_new(struct arena *a, struct ps_value *to, const char *name, enum ps_kind kind,
                    const char *text)
{
    ps_add_member(to, name, ps_new(a, kind, text));
}

static void add_enum(struct arena *a, struct ps_value *to, const char *name, const char *type,
                     const char *text, int32_t number)
{
    struct ps_types *types = ps_new_types(a, NAMES(ENUM_OF(type)), 4);
    ps_add_member(to, name, types ? ps_new_enum(a, types, text, number) : NULL);
}

enum err psrp_say_capability(struct buf *out, struct arena *a, struct errinfo *ei)
{
    struct ps_value *v = ps_new_object(a, NULL, 0);
    add_new(a, v, "protocolversion", PS_VERSION, "2.3");
    add_new(a, v, "PSVersion", PS_VERSION, "2.0");
    add_new(a, v, "SerializationVersion", PS_VERSION, "1.1.0.1");
    return finish(out, a, v, ei);
}

/* 2.2.3.14: no host, so that the server answers prompts itself, with an error. */
static void add_host(struct arena *a, struct ps_value *to, bool use_runspace_host)
{
    struct ps_value *host = ps_new_object(a, NULL, 0);
    add_new(a, host, "_isHostNull", PS_BOOL, "true");
    add_new(a, host, "_isHostUINull", PS_BOOL, "true");
    add_new(a, host, "_isHostRawUINull", PS_BOOL, "true");
    add_new(a, host, "_useRunspaceHost", PS_BOOL, use_runspace_host ? "true" : "false");
    ps_add_member(to, "HostInfo", host);
}

enum err psrp_say_pool(struct buf *out, struct arena *a, struct errinfo *ei)
{
    struct ps_value *v = ps_new_object(a, NULL, 0);
    add_new(a, v, "MinRunspaces", PS_I32, "1");
    add_new(a, v, "MaxRunspaces", PS_I32, "1");
    add_enum(a, v, "PSThreadOptions", "System.Management.Automation.Runspaces.PSThreadOptions", "Default", 0);
    add_enum(a, v, "ApartmentState", "System.Threading.ApartmentState", "Unknown", 2);
    add_host(a, v, false);
    add_new(a, v, "ApplicationArguments", PS_NULL, "");
    return finish(out, a, v, ei);
}

static struct ps_value *list_of(struct arena *a, const struct cmdlet_value *value, struct ps_types *types)
{
    struct ps_value *list = ps_new_list(a, types);
    for (size_t i = 0; i < value->n; i++)
        ps_add_item(list, ps_new(a, PS_STRING, value->strings[i]));
    return list;
}

static struct ps_value *parameter_value(struct arena *a, const struct cmdlet_value *value,
                                        struct ps_types *strings)
{
    switch (value->kind) {
    case CMDLET_STRING:
    case CMDLET_WORD: return ps_new(a, PS_STRING, value->strings[0]);
    case CMDLET_WORDS:
    case CMDLET_LIST: return list_of(a, value, strings);
    case CMDLET_BOOL: return ps_new(a, PS_BOOL, value->flag ? "true" : "false");
    case CMDLET_SWITCH: return ps_new(a, PS_BOOL, "true");
    case CMDLET_NULL: return ps_new(a, PS_NULL, "");
    case CMDLET_INT:
        return ps_new_int(a, value->number >= INT32_MIN && value->number <= INT32_MAX ? PS_I32 : PS_I64,
                          value->number);
    }
    return NULL;
}

/* Before anything is built: which parameter is at fault? */
static enum err check_values(const struct cmdlet *c, struct errinfo *ei)
{
    char what[80];
    if (c->failed)
        return err_set(ei, c->failed, NULL, "%s: a parameter could not be built", c->name);
    for (size_t i = 0; i < c->n_params; i++) {
        const struct cmdlet_value *v = &c->params[i].value;
        (void)str_fmt(what, sizeof what, "-%s", c->params[i].name);
        for (size_t n = 0; n < v->n; n++) {
            enum err err = psxml_check_text(v->strings[n], strlen(v->strings[n]), what, ei);
            if (err != ERR_OK)
                return err;
        }
    }
    return ERR_OK;
}

static struct ps_value *command(struct arena *a, const struct cmdlet *c, unsigned minor,
                                struct ps_types *list)
{
    static const struct {
        const char *name;
        unsigned since; /* minor of the protocol */
    } merges[] = {{"MergeMyResult", 0}, {"MergeToResult", 0},   {"MergePreviousResults", 0},
                  {"MergeError", 2},    {"MergeWarning", 2},    {"MergeVerbose", 2},
                  {"MergeDebug", 2},    {"MergeInformation", 3}};
    struct ps_types *merge =
        ps_new_types(a, NAMES(ENUM_OF("System.Management.Automation.Runspaces.PipelineResultTypes")), 4);
    struct ps_types *strings = ps_new_types(a, NAMES("System.String[]", "System.Array", "System.Object"), 3);
    struct ps_value *v = ps_new_object(a, NULL, 0), *args = ps_new_list(a, list);
    if (!merge || !strings)
        return NULL;
    add_new(a, v, "Cmd", PS_STRING, c->name);
    add_new(a, v, "IsScript", PS_BOOL, "false");
    add_new(a, v, "UseLocalScope", PS_NULL, "");
    for (size_t i = 0; i < ARRAY_LEN(merges); i++)
        if (minor >= merges[i].since)
            ps_add_member(v, merges[i].name, ps_new_enum(a, merge, "None", 0));
    for (size_t i = 0; i < c->n_params; i++) {
        struct ps_value *one = ps_new_object(a, NULL, 0);
        add_new(a, one, "N", PS_STRING, c->params[i].name);
        ps_add_member(one, "V", parameter_value(a, &c->params[i].value, strings));
        ps_add_item(args, one);
    }
    ps_add_member(v, "Args", args);
    return v;
}

enum err psrp_say_pipeline(struct buf *out, struct arena *a, const struct cmdlet *c, unsigned minor,
                           struct errinfo *ei)
{
    enum err err = check_values(c, ei);
    if (err != ERR_OK)
        return err;
    struct ps_types *list = ps_new_types(a, NAMES(object_list, "System.Object"), 2);
    struct ps_value *v = ps_new_object(a, NULL, 0), *shell = ps_new_object(a, NULL, 0),
                    *commands = ps_new_list(a, list);
    ps_add_item(commands, list ? command(a, c, minor, list) : NULL);
    ps_add_member(shell, "Cmds", commands);
    add_new(a, shell, "IsNested", PS_BOOL, "false");
    add_new(a, shell, "History", PS_NULL, "");
    add_new(a, shell, "RedirectShellErrorOutputPipe", PS_BOOL, "true");
    ps_add_member(v, "PowerShell", shell);
    add_new(a, v, "NoInput", PS_BOOL, "true");
    add_enum(a, v, "ApartmentState", "System.Threading.ApartmentState", "Unknown", 2);
    add_enum(a, v, "RemoteStreamOptions", "System.Management.Automation.RemoteStreamOptions",
             "AddInvocationInfo", 15);
    add_new(a, v, "AddToHistory", PS_BOOL, "false");
    add_host(a, v, true);
    add_new(a, v, "IsNested", PS_BOOL, "false");
    return finish(out, a, v, ei);
}

enum err psrp_say_key(struct buf *out, struct arena *a, const char *key, struct errinfo *ei)
{
    struct ps_value *v = ps_new_object(a, NULL, 0);
    add_new(a, v, "PublicKey", PS_STRING, key);
    return finish(out, a, v, ei);
}

enum err psrp_say_no_host(struct buf *out, struct arena *a, int64_t call, const char *method, int32_t number,
                          struct errinfo *ei)
{
    static const char text[] = "This client has no host: it answers no prompts.";
    struct ps_value *v = ps_new_object(a, NULL, 0);
    struct ps_value *record =
        ps_new_object(a, NAMES("System.Management.Automation.ErrorRecord", "System.Object"), 2);
    struct ps_value *exception =
        ps_new_object(a,
                      NAMES("System.Management.Automation.Host.HostException",
                            "System.Management.Automation.RuntimeException", "System.SystemException",
                            "System.Exception", "System.Object"),
                      5);
    ps_add_member(v, "ci", ps_new_int(a, PS_I64, call));
    add_enum(a, v, "mi", "System.Management.Automation.Remoting.RemoteHostMethodId", method, number);
    if (!record || !exception || !v)
        return finish(out, a, NULL, ei);
    record->object->to_string = exception->object->to_string = text;
    record->object->to_string_len = exception->object->to_string_len = sizeof text - 1;
    struct ps_value *message = ps_new(a, PS_STRING, text);
    if (message)
        message->name = "Message", message->name_len = 7;
    ps_append(&exception->object->props, message);
    ps_add_member(record, "Exception", exception);
    add_new(a, record, "TargetObject", PS_NULL, "");
    add_new(a, record, "FullyQualifiedErrorId", PS_STRING, "RemoteHostExecutionException");
    add_new(a, record, "InvocationInfo", PS_NULL, "");
    add_new(a, record, "ErrorCategory_Category", PS_I32, "7");
    add_new(a, record, "ErrorCategory_Activity", PS_STRING, "");
    add_new(a, record, "ErrorCategory_Reason", PS_STRING, "HostException");
    add_new(a, record, "ErrorCategory_TargetName", PS_STRING, "");
    add_new(a, record, "ErrorCategory_TargetType", PS_STRING, "");
    add_new(a, record, "ErrorCategory_Message", PS_STRING, "InvalidOperation: (:) [], HostException");
    add_new(a, record, "SerializeExtendedInfo", PS_BOOL, "false");
    ps_add_member(v, "me", record);
    return finish(out, a, v, ei);
}
