/* Evidence in the store: what this run observed is kept for the next console, and what was observed last can be judged by. */
#include "core/report/kept.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/str.h"
#include "tui/commands/cli.h"

#include <string.h>

#define EVIDENCE_LIMIT ((size_t)64 << 20)

/* How often another console may come in between the reading of what is kept and the writing of what it has become. */
#define TRIES 8

/* Some servers were asked: what is known of the others stays. */
static enum err keep_merged(struct cli *cli, const char *who, const char *from, struct errinfo *ei)
{
    const char *organization = cli->org->name;
    enum err e = ERR_STALE;
    for (int i = 0; i < TRIES && e == ERR_STALE; i++) {
        struct evidence all;
        struct kept_facts facts = {.version = STORE_EVIDENCE_NONE};
        evidence_init(&all, EVIDENCE_LIMIT);
        e = kept_evidence_read(cli->store, organization, &all, &facts, ei);
        e = e == ERR_NOTFOUND ? ERR_OK : e;
        if (!e && (e = evidence_merge(&all, &cli->evidence)))
            err_set(ei, e, NULL, "there is more evidence than fits");
        if (!e)
            e = kept_evidence_write(cli->store, organization, &all, true, facts.version, who, from, ei);
        evidence_fini(&all);
    }
    return e;
}

static enum err keep_all(struct cli *cli, bool partial, struct errinfo *ei)
{
    char who[256], from[256];
    enum err e = cli_store(cli, ei);
    if (e)
        return e;
    cli_who(cli, who, sizeof who, from, sizeof from);
    return partial ? keep_merged(cli, who, from, ei)
                   : kept_evidence_write(cli->store, cli->org->name, &cli->evidence, true, STORE_EVIDENCE_ANY,
                                         who, from, ei);
}

void cli_keep_evidence(struct cli *cli, bool partial)
{
    struct errinfo why = {0};
    /* to look is not a reason to make a store, and an answer is not lost because it cannot be kept */
    if (cli_read_only(cli) || cli->snapshot || !cli->org->name ||
        !store_exists(profile_get(&cli->profile, PROFILE_store, NULL)))
        return;
    if (keep_all(cli, partial, &why)) {
        err_wrap(&why, "the evidence is not kept");
        log_err(&why);
    }
}

/* Another host's clock may be ahead of this one's. */
static long long minutes_since(int64_t at)
{
    int64_t age = clock_unix() - at;
    return age > 0 ? (long long)age / 60 : 0;
}

enum err cli_recall_evidence(struct cli *cli, struct errinfo *ei)
{
    struct kept_facts facts = {0};
    char at[CLOCK_TEXT_SIZE];
    if (!store_exists(profile_get(&cli->profile, PROFILE_store, NULL)))
        return err_set(ei, ERR_NOTFOUND, "casbridge check --probe gathers it", "there is no store yet");
    enum err e = cli_store(cli, ei);
    if (!e)
        e = kept_evidence_read(cli->store, cli->org->name ? cli->org->name : "", &cli->evidence, &facts, ei);
    if (e)
        return e;
    cli->recalled = facts.probed;
    log_line(LOG_LEVEL_WARNING, "evidence of %s, %lld minutes ago, by %s%s%s: not as of now",
             clock_rfc3339(facts.at, at), minutes_since(facts.at), facts.who, facts.from[0] ? " on " : "",
             facts.from);
    return ERR_OK;
}
