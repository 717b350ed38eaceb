/*
 * The cmdlets that mend what rules find, per generation (cmdlets.md 2 to 4). One cmdlet touches one object of one server, its
 * -Identity or -Server comes first, and only what must change is set: cmdlets for the same object can be merged.
 */
#include "core/rules/rules_int.h"

#include "core/base/str.h"

#include <string.h>

/* Ordered as the cmdlet pages write them. */
static const auth_set oa_methods[] = {AUTH_BASIC, AUTH_DIGEST,  AUTH_FBA,
                                      AUTH_NTLM,  AUTH_WINDOWS, AUTH_NEGOTIATE};

static struct fix *fix_new(struct rule_run *run, const struct server *s, const char *name)
{
    struct fix *f = arena_alloc(&run->out->arena, sizeof *f);
    if (!f) {
        run->failed = run->failed ? run->failed : ERR_LIMIT;
        return NULL;
    }
    f->server = arena_str(&run->out->arena, s->name);
    f->automatic = true;
    cmdlet_init(&f->cmdlet, &run->out->arena, name);
    return f;
}

/* A parameter that cannot be written (bytes that no command line can carry) leaves a finding without a fix. */
static const struct fix *fix_end(struct rule_run *run, struct fix *f, enum err e)
{
    if (e == ERR_NOMEM || e == ERR_LIMIT)
        run->failed = run->failed ? run->failed : e;
    return e == ERR_OK && f->server ? f : NULL;
}

static const char *identity(struct rule_run *run, const struct vdir *v)
{
    const char *s = arena_fmt(&run->scratch, "%s\\%s", v->server->name, v->name);
    if (!s)
        run->failed = run->failed ? run->failed : ERR_LIMIT;
    return s ? s : "";
}

static enum err add_methods(struct cmdlet *c, const char *param, auth_set set)
{
    const char *words[ARRAY_LEN(oa_methods)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(oa_methods); i++) {
        if (!(set & oa_methods[i]))
            continue;
        /* Negotiate is a value of 2013 and later; before, NTLM means Windows authentication with both */
        words[n++] = auth_cmdlet_name(oa_methods[i]);
    }
    return cmdlet_words(c, param, words, n);
}

/* The one client method that can be written: exactly one flag of Basic and NTLM (cmdlets.md 2.2), else 0. */
static auth_set client_method(const struct vdir *v)
{
    return v->has_client_auth && (v->client_auth == AUTH_BASIC || v->client_auth == AUTH_NTLM)
               ? v->client_auth
               : 0;
}

const struct fix *fix_oa_auth(struct rule_run *run, const struct vdir *v)
{
    auth_set have = v->has_iis_auth ? v->iis_auth : 0, speakable = 0;
    for (size_t i = 0; i < ARRAY_LEN(oa_methods); i++)
        speakable |= oa_methods[i];
    if (v->server->generation >= GENERATION_2013 || (have & ~speakable))
        return NULL;
    struct fix *f = fix_new(run, v->server, "Set-OutlookAnywhere");
    if (!f)
        return NULL;
    struct cmdlet *c = &f->cmdlet;
    enum err e = cmdlet_string(c, "Identity", identity(run, v));
    auth_set client = client_method(v);
    if (!e && client)
        e = cmdlet_word(c, "ClientAuthenticationMethod", auth_cmdlet_name(client));
    if (!e)
        e = add_methods(c, "IISAuthenticationMethods", have | AUTH_NTLM);
    /* 2007 RTM has no such parameter: this is what to run once a service pack is on */
    f->automatic = !judge_is_2007_rtm(v->server);
    return fix_end(run, f, e);
}

/* What the organisation's enabled ones agree on, else Basic: a client method that nobody uses would break profiles. */
static auth_set agreed_client_method(const struct rule_run *run)
{
    auth_set agreed = 0;
    for (size_t i = 0; i < run->facts.n_legacy; i++) {
        const struct vdir *v = server_vdir(run->facts.legacy[i], PROTOCOL_OA);
        auth_set m = v ? client_method(v) : 0;
        if (m && agreed && m != agreed)
            return AUTH_BASIC;
        agreed |= m;
    }
    return agreed ? agreed : AUTH_BASIC;
}

/* $false, unless the others of the site offload: a site must not differ within itself. */
static bool agreed_offloading(const struct server *s)
{
    bool on = false;
    for (size_t i = 0; s->site && i < s->site->n_servers; i++) {
        const struct server *peer = s->site->servers[i];
        const struct vdir *v = server_is_legacy_cas(peer) ? server_vdir(peer, PROTOCOL_OA) : NULL;
        if (v && v->ssl_offloading == TRI_NO)
            return false;
        on |= v && v->ssl_offloading == TRI_YES;
    }
    return on;
}

const struct fix *fix_oa_enable(struct rule_run *run, const struct server *s)
{
    const char *name = facts_oa_name(run, s);
    if (!name)
        return NULL; /* -ExternalHostname is mandatory */
    struct fix *f = fix_new(run, s, "Enable-OutlookAnywhere");
    if (!f)
        return NULL;
    struct cmdlet *c = &f->cmdlet;
    bool rtm = judge_is_2007_rtm(s);
    if (run->facts.enable_method == 0)
        run->facts.enable_method = agreed_client_method(run);
    enum err e = cmdlet_string(c, "Server", s->name);
    if (!e)
        e = cmdlet_word(c, rtm ? "ExternalAuthenticationMethod" : "ClientAuthenticationMethod",
                        auth_cmdlet_name(run->facts.enable_method));
    if (!e)
        e = cmdlet_string(c, "ExternalHostname", name);
    if (!e)
        e = cmdlet_bool(c, "SSLOffloading", agreed_offloading(s));
    if (!e && !rtm)
        e = add_methods(c, "IISAuthenticationMethods", AUTH_BASIC | AUTH_NTLM);
    f->automatic = !rtm;
    return fix_end(run, f, e);
}

const struct fix *fix_oa_hostname(struct rule_run *run, const struct vdir *v, const char *name)
{
    struct fix *f = fix_new(run, v->server, "Set-OutlookAnywhere");
    if (!f)
        return NULL;
    enum err e = cmdlet_string(&f->cmdlet, "Identity", identity(run, v));
    if (!e)
        e = cmdlet_string(&f->cmdlet, "ExternalHostname", name);
    return fix_end(run, f, e);
}

const struct fix *fix_oa_offloading(struct rule_run *run, const struct vdir *v, bool on)
{
    struct fix *f = fix_new(run, v->server, "Set-OutlookAnywhere");
    if (!f)
        return NULL;
    enum err e = cmdlet_string(&f->cmdlet, "Identity", identity(run, v));
    if (!e)
        e = cmdlet_bool(&f->cmdlet, "SSLOffloading", on);
    f->automatic = false; /* a load balancer in front decides which value is right */
    f->choice = "only who knows the load balancer can say which of the two values is right";
    return fix_end(run, f, e);
}

const struct fix *fix_rpc_encryption(struct rule_run *run, const struct server *s, bool required)
{
    /* Of 2007 (Set-MailboxServer -MAPIEncryptionRequired) nobody knows the attribute: it could not be read back. */
    if (s->generation < GENERATION_2010)
        return NULL;
    struct fix *f = fix_new(run, s, "Set-RpcClientAccess");
    if (!f)
        return NULL;
    enum err e = cmdlet_string(&f->cmdlet, "Server", s->name);
    if (!e)
        e = cmdlet_bool(&f->cmdlet, "EncryptionRequired", required);
    f->automatic = false;
    f->choice = required ? "it cuts Outlook 2003 profiles without encryption off"
                         : "it lets Outlook in that does not encrypt";
    return fix_end(run, f, e);
}

/*
 * KB981541: forms logon on the legacy side, and External FBA too (migration.md 16). Forms need Basic and exclude Windows and Digest, which
 * Exchange turns by itself: they are all given, so that the way back restores each. 2007's cmdlet is not known to have Digest nor the
 * external methods (cmdlets.md 3).
 */
const struct fix *fix_owa_forms(struct rule_run *run, const struct vdir *v)
{
    bool is_2007 = v->server->generation < GENERATION_2010;
    if (is_2007 && v->has_iis_auth && (v->iis_auth & AUTH_DIGEST))
        return NULL;
    struct fix *f = fix_new(run, v->server, "Set-OwaVirtualDirectory");
    if (!f)
        return NULL;
    struct cmdlet *c = &f->cmdlet;
    auth_set outside = v->has_client_auth ? v->client_auth | AUTH_FBA : AUTH_FBA;
    const char *words[32];
    size_t n = 0;
    for (auth_set bit = 1; bit && bit <= AUTH_ALL; bit <<= 1)
        if (outside & bit)
            words[n++] = auth_cmdlet_name(bit);
    enum err e = cmdlet_string(c, "Identity", identity(run, v));
    if (!e)
        e = cmdlet_bool(c, "FormsAuthentication", true);
    if (!e)
        e = cmdlet_bool(c, "BasicAuthentication", true);
    if (!e)
        e = cmdlet_bool(c, "WindowsAuthentication", false);
    if (!e && !is_2007)
        e = cmdlet_bool(c, "DigestAuthentication", false);
    if (!e && !is_2007)
        e = cmdlet_words(c, "ExternalAuthenticationMethods", words, n);
    f->automatic = false;
    f->choice = "users of that server log on with a form from then on, after an iisreset there";
    return fix_end(run, f, e);
}

const struct fix *fix_windows_auth(struct rule_run *run, const struct vdir *v)
{
    struct fix *f = fix_new(run, v->server,
                            v->protocol == PROTOCOL_EWS ? "Set-WebServicesVirtualDirectory"
                                                        : "Set-AutodiscoverVirtualDirectory");
    if (!f)
        return NULL;
    enum err e = cmdlet_string(&f->cmdlet, "Identity", identity(run, v));
    if (!e)
        e = cmdlet_bool(&f->cmdlet, "WindowsAuthentication", true);
    f->automatic = false;
    f->choice = "clients of that virtual directory are offered Windows authentication too";
    return fix_end(run, f, e);
}

const struct fix *fix_vdir_url(struct rule_run *run, const struct vdir *v, const char *param, const char *url,
                               bool automatic)
{
    static const char *const names[PROTOCOL_COUNT] = {
        [PROTOCOL_OWA] = "Set-OwaVirtualDirectory",         [PROTOCOL_ECP] = "Set-EcpVirtualDirectory",
        [PROTOCOL_EWS] = "Set-WebServicesVirtualDirectory", [PROTOCOL_EAS] = "Set-ActiveSyncVirtualDirectory",
        [PROTOCOL_OAB] = "Set-OabVirtualDirectory",
    };
    if (v->protocol >= PROTOCOL_COUNT || !names[v->protocol])
        return NULL;
    struct fix *f = fix_new(run, v->server, names[v->protocol]);
    if (!f)
        return NULL;
    enum err e = cmdlet_string(&f->cmdlet, "Identity", identity(run, v));
    if (!e)
        e = cmdlet_string(&f->cmdlet, param, url);
    f->automatic = automatic;
    return fix_end(run, f, e);
}

const struct fix *fix_scp(struct rule_run *run, const struct server *s, const char *url)
{
    /* Set-ClientAccessService is the name since 2016; the old one still works there but warns */
    struct fix *f = fix_new(
        run, s, s->generation >= GENERATION_2016 ? "Set-ClientAccessService" : "Set-ClientAccessServer");
    if (!f)
        return NULL;
    enum err e = cmdlet_string(&f->cmdlet, "Identity", s->name);
    if (!e)
        e = cmdlet_string(&f->cmdlet, "AutoDiscoverServiceInternalUri", url);
    return fix_end(run, f, e);
}
