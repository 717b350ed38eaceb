#include "remoting/fault.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/str.h"

#define WAIT_MAX_MS 86400000 /* what is named beyond a day is taken as a day */

/* A row fits when all that it names is so: code (0: any), subcode (NULL: any), words in the text (NULL: any). First come, first served. */
static const struct row {
    uint32_t code;
    const char *subcode, *text;
    enum err err;
    const char *what, *hint;
} rows[] = {
    {WSMAN_FAULT_TIMED_OUT, NULL, NULL, ERR_TIMEOUT,
     "the server did not get it done within the OperationTimeout",
     "it is overloaded, or winrm's MaxTimeoutms there is very low"},
    {WSMAN_FAULT_INVALID_SELECTORS, NULL, NULL, ERR_REMOTE, "the shell or the command is gone on the server",
     "was it idle too long, or WinRM restarted? Read the settings again, then run it anew"},
    {WSMAN_FAULT_NO_SUCH_RESOURCE, NULL, NULL, ERR_CONFIG, "the endpoint does not know what was asked for",
     "check URL and configuration: Microsoft.Exchange is at http://FQDN/PowerShell/, not at :5985/wsman"},
    {WSMAN_FAULT_TOO_MANY_COMMANDS, NULL, NULL, ERR_REMOTE, "too many commands in one shell",
     "another shell is needed (MaxConcurrentCommandsPerShell)"},
    {WSMAN_FAULT_LINE_TOO_LONG, NULL, NULL, ERR_REMOTE, "the command line is too long for the server",
     "the script must go by standard input"},
    {WSMAN_FAULT_FILE_NOT_FOUND, NULL, NULL, ERR_REMOTE, "the program to start is not there",
     "without cmd.exe (WINRS_SKIP_CMD_SHELL) it must be named with its full path"},
    {WSMAN_FAULT_REDIRECT, NULL, NULL, ERR_REFUSED, "the server sends us to another one",
     "name that one in the URL, or allow it with winrm_redirect = yes"},
    {0, NULL, "needs to be sent to a different machine", ERR_REFUSED, "the server sends us to another one",
     "name that one in the URL, or allow it with winrm_redirect = yes"},
    {0, NULL, "user load quota", ERR_REMOTE, "the server throttles this user",
     "wait, and run fewer at once (--parallel)"},
    {2150859173u, NULL, NULL, ERR_REMOTE, "this user has too many shells open on the server",
     "close what was left open there, or raise MaxShellsPerUser"},
    {0, "QuotaLimit", "shells", ERR_REMOTE, "this user has too many shells open on the server",
     "close what was left open there, or raise MaxShellsPerUser"},
    {0, NULL, "concurrent shells", ERR_REMOTE, "this user has too many shells open on the server",
     "close what was left open there (Exchange: PowerShellMaxConcurrency of the throttling policy)"},
    {0, "QuotaLimit", NULL, ERR_REMOTE, "a quota of the server is used up",
     "run fewer at once (--parallel), or raise the quota it names"},
    {0, "EncodingLimit", NULL, ERR_REMOTE,
     "the server finds a message too long, or the envelope asked for too small",
     "MaxEnvelopeSizekb of its winrm configuration decides"},
    {5, NULL, NULL, ERR_DENIED, "access denied",
     "is the user an administrator there, or in Remote Management Users?"},
    {2147942405u, NULL, NULL, ERR_DENIED, "access denied",
     "is the user an administrator there, or in Remote Management Users?"},
    {0, "AccessDenied", NULL, ERR_DENIED, "access denied",
     "is the user an administrator there, or in Remote Management Users?"},
    {87, NULL, NULL, ERR_REMOTE, "the server takes a parameter for wrong", NULL},
    {WSMAN_FAULT_ABORTED, NULL, NULL, ERR_REMOTE, "the server broke the operation off",
     "was its WinRM service restarted? Read the settings again"},
    {2150858767u, NULL, NULL, ERR_REMOTE, "the server takes a header of ours for wrong", NULL},
    {0, "InvalidSelectors", NULL, ERR_REMOTE, "the shell or the command is gone on the server",
     "was it idle too long, or WinRM restarted? Read the settings again, then run it anew"},
    {0, "DestinationUnreachable", NULL, ERR_CONFIG, "the endpoint does not know what was asked for",
     "check URL and configuration: Microsoft.Exchange is at http://FQDN/PowerShell/, not at :5985/wsman"},
    {0, "ActionNotSupported", NULL, ERR_REMOTE, "the server cannot do this operation",
     "it offers no remote shell: is that Windows?"},
    {0, NULL, NULL, ERR_REMOTE, "the server refused", NULL},
};

static bool fits(const struct row *row, const struct wsman_fault *f)
{
    return (row->code == 0 || row->code == f->code) && (!row->subcode || str_ieq(row->subcode, f->subcode)) &&
           (!row->text || str_icontains(f->reason, row->text));
}

static int named_wait(const char *text)
{
    static const char before[] = "at least ", after[] = " milliseconds";
    const char *at = str_icontains(text, after);
    size_t n = 0;
    uint64_t ms;
    while (at && at - n > text && at[-(ptrdiff_t)n - 1] >= '0' && at[-(ptrdiff_t)n - 1] <= '9')
        n++;
    const char *digits = at ? at - n : text;
    if (n == 0 || (size_t)(digits - text) < sizeof before - 1 ||
        str_incmp(digits - (sizeof before - 1), before, sizeof before - 1) != 0)
        return -1;
    if (!str_to_u64(digits, n, &ms) || ms > WAIT_MAX_MS)
        return WAIT_MAX_MS;
    return (int)ms;
}

void fault_take_text(struct wsman_fault *f, const char *text)
{
    static const char mark[] = "Redirect location reported: ";
    const char *place = str_icontains(text, mark);
    char flat[4096];
    size_t n = 0;
    /* Messages are wrapped by hand in old servers' XML. */
    for (const char *s = text; *s && n + 1 < sizeof flat; s++) {
        bool space = strchr(" \t\r\n", *s) != NULL;
        if (!space)
            flat[n++] = *s;
        else if (n > 0 && flat[n - 1] != ' ')
            flat[n++] = ' ';
    }
    while (n > 0 && flat[n - 1] == ' ')
        n--;
    flat[n] = '\0';
    str_show_fixed(f->reason, sizeof f->reason, flat, n);
    f->wait_ms = named_wait(flat);
    f->redirect[0] = '\0';
    if (!place)
        return;
    place += sizeof mark - 1;
    n = strcspn(place, " \t\r\n\"'<>");
    while (n > 0 && strchr(".,;", place[n - 1])) /* the end of a sentence */
        n--;
    if (n < sizeof f->redirect)
        str_show_fixed(f->redirect, sizeof f->redirect, place, n);
}

enum err fault_words(const struct wsman_fault *f, const char *what, struct errinfo *ei)
{
    const struct row *row = rows;
    char code[48] = "";
    while (!fits(row, f))
        row++;
    if (f->code)
        str_fmt(code, sizeof code, " (fault %u)", f->code);
    else if (f->subcode[0])
        str_fmt(code, sizeof code, " (fault %.30s)", f->subcode);
    err_set(ei, row->err, row->hint, "%s: %s%s%s%.200s", what, row->what, code, f->reason[0] ? ": " : "",
            f->reason);
    if (ei && row->err == ERR_REFUSED && f->redirect[0])
        err_hint(ei, "name %.100s in the URL, or allow it with winrm_redirect = yes", f->redirect);
    if (ei && f->wait_ms >= 0)
        err_hint(ei, "it asks to wait %d.%d s; run fewer at once (--parallel)", f->wait_ms / 1000,
                 f->wait_ms / 100 % 10);
    return row->err;
}

static const struct {
    int from, to;
    enum err err;
    const char *what, *hint;
} statuses[] = {
    {200, 299, ERR_PROTOCOL, "the answer has no content", "is that a WinRM listener (port, path)?"},
    {300, 399, ERR_REFUSED, "the server sends us elsewhere",
     "name that place in the URL, or allow it with winrm_redirect = yes"},
    {401, 401, ERR_AUTH, "the login was not accepted", "check user, password, and what the server allows"},
    {403, 403, ERR_DENIED, "access denied", "is TLS asked for, or this address shut out there?"},
    {404, 404, ERR_CONFIG, "nothing answers at that path",
     "check the URL: /wsman on 5985, /PowerShell/ on 80"},
    {405, 405, ERR_CONFIG, "that path takes no requests of this kind", "check the URL"},
    {407, 407, ERR_UNREACHABLE, "a proxy wants a login", "reach the server directly"},
    {411, 411, ERR_PROTOCOL, "the server wants a length", NULL},
    {413, 413, ERR_REMOTE, "the request is longer than the server takes",
     "MaxEnvelopeSizekb there decides (150)"},
    {415, 415, ERR_REMOTE, "the server does not take the form of our message",
     "does it want messages without encryption, or with?"},
    {502, 502, ERR_UNREACHABLE, "a proxy before the server cannot reach it", NULL},
    {503, 503, ERR_UNREACHABLE, "the service is not available",
     "is WinRM running there, or the MSExchangePowerShellAppPool stopped?"},
    {500, 599, ERR_REMOTE, "the server failed and says nothing why",
     "unencrypted messages to a server that wants encryption end so; see its WinRM event log"},
    {0, 999, ERR_PROTOCOL, "the server does not speak WS-Management", "check the URL"},
};

enum err fault_http_words(int status, const char *location, const char *what, struct errinfo *ei)
{
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(statuses) && (status < statuses[i].from || status > statuses[i].to))
        i++;
    err_set(ei, statuses[i].err, statuses[i].hint, "%s: %s (HTTP %d)%s%.150s", what, statuses[i].what, status,
            location[0] ? ": " : "", location);
    return statuses[i].err;
}
