/*
 * The batch face: what every command shares. A command is a row of a table (tui/commands/table.c): name, options, one function.
 */
#ifndef TUI_COMMANDS_CLI_H
#define TUI_COMMANDS_CLI_H

#include "core/directory/directory.h"
#include "core/kerberos/kerberos.h"
#include "core/model/finding.h"
#include "core/model/profile.h"
#include "core/report/snapshot.h"
#include "core/store/store.h"
#include "core/transport.h"
#include "tui/commands/args.h"

#include <jansson.h>
#include <stdio.h>

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV, FORMAT_HTML, FORMAT_XML };

typedef enum err cli_transport_new(struct transport **out, const char *via, const struct profile *p,
                                   struct errinfo *ei);

/* Options of the program (cli.md, Global). */
struct cli_options {
    const char *config, *profile, *source, *target, *format, *output;
    struct arg_list hosts;
    bool no_color, read_only, ascii, help, version;
    int timeout;
    const char *theme;
};
extern const struct arg_spec cli_global[];

struct cli {
    struct cli_options o;
    struct profile profile;
    enum format format;
    struct stop stop;              /* raised by SIGINT and SIGTERM; deadline from --timeout */
    _Atomic(const char *) on_stop; /* NULL; what is said then: a whole line, static */
    struct buf out;                /* the document; written at the end */
    cli_transport_new *transport_new;
    /* made by the session functions below, freed by the caller of the command */
    struct org *org;
    struct snapshot *snapshot; /* what org and evidence came from; NULL when it was another source */
    struct buf kept;           /* the entries of org as LDIF, when cli_read was told to keep them */
    bool keep;
    struct directory *directory;
    struct krb_login *login;
    struct evidence evidence;
    struct findings findings;
    struct store *store;
    bool reader_gone; /* of standard output */
    bool krb_ready;
    bool fresh;    /* set before cli_read: only what this run observes counts, not a snapshot's evidence */
    bool recalled; /* evidence holds what the store had kept of the wire */
};

struct command {
    const char *name, *synopsis, *summary;
    const struct arg_spec *options; /* NULL-name ended; NULL: none */
    size_t options_size;            /* of the struct they fill */
    unsigned formats;               /* bit per enum format that it can write */
    bool changes;                   /* refused with --read-only */
    /* options: the filled struct. rest: words after "--" (NULL-ended) or NULL. The exit code comes from the error, or *code when ERR_OK. */
    enum err (*run)(struct cli *cli, const void *options, const struct arg_list *words,
                    const char *const *rest, int *code, struct errinfo *ei);
};
extern const struct command commands[];
extern const size_t commands_count;
const struct command *command_find(const char *name);

#define FORMATS_TEXT      (1u << FORMAT_TEXT)
#define FORMATS_TEXT_JSON (1u << FORMAT_TEXT | 1u << FORMAT_JSON)
#define FORMATS_REPORT    (1u << FORMAT_HTML | 1u << FORMAT_JSON | 1u << FORMAT_CSV | 1u << FORMAT_XML)
#define FORMATS_TABLE     (1u << FORMAT_TEXT | 1u << FORMAT_JSON | 1u << FORMAT_CSV)

/* Kerberos from the profile; once. */
enum err cli_kerberos(struct cli *cli, struct errinfo *ei) MUST_CHECK;
/* The way to the servers, by the profile, its Kerberos settings too. via as for remoting_transport_new(). */
enum err cli_transport(struct cli *cli, const char *via, struct transport **out,
                       struct errinfo *ei) MUST_CHECK;
/* Reads the organisation into cli->org, of a snapshot its evidence into cli->evidence; notes go to standard error as warnings. */
enum err cli_read(struct cli *cli, struct errinfo *ei) MUST_CHECK;
/* The same for any source, without a word about its notes: exactly one of snapshot and org is set. kept: NULL, or for the entries. */
enum err cli_read_source(struct cli *cli, const char *source, struct buf *kept, struct snapshot **snapshot,
                         struct org **org, struct errinfo *ei) MUST_CHECK;
/* --source, else the profile's; NULL: a domain controller by DNS. */
const char *cli_source(const struct cli *cli);
/* A directory that can be asked, or NULL. */
bool cli_source_is_live(const char *source);
/* Opens cli->directory for look-ups. */
enum err cli_directory(struct cli *cli, struct errinfo *ei) MUST_CHECK;
/* --target, the profile's, the snapshot's, the newest version present, else 2013. */
enum generation cli_target(const struct cli *cli);
/* Probes when asked, then the rules; fills evidence and findings. servers n 0: every CAS. */
enum err cli_evaluate(struct cli *cli, bool probe, struct errinfo *ei) MUST_CHECK;
/* --remote [--via ssh|winrm]: reads the organisation, then asks every server itself what only it knows, into evidence. Neither given:
   nothing is asked. */
enum err cli_ask_hosts(struct cli *cli, bool remote, const char *via, struct errinfo *ei) MUST_CHECK;
#define REMOTE_SPECS(options)                                                                                \
    {"remote", 0,                                                                                            \
     ARG_FLAG, offsetof(options, remote),                                                                    \
     NULL,     "ask the servers themselves too: exact build, KB3140410, IIS; needs SSH or WinRM"},           \
    {                                                                                                        \
        "via", 0, ARG_TEXT, offsetof(options, via), "ssh|winrm", "how --remote reaches them"                 \
    }
/* The rules over any organisation and its evidence, accepted findings marked. snapshot: where both came from, NULL; of a snapshot
   the rules say what held when it was made. out must be initialised and empty. */
enum err cli_judge(struct cli *cli, const struct org *org, const struct evidence *e,
                   const struct snapshot *snapshot, bool probed, struct findings *out,
                   struct errinfo *ei) MUST_CHECK;
/* What is accepted in that organisation, by the store (when there is one) and by the snapshot (NULL: none). Free it. */
enum err cli_accepted(struct cli *cli, const char *organization, const struct snapshot *snapshot,
                      acceptances *out, struct errinfo *ei) MUST_CHECK;
enum err cli_store(struct cli *cli, struct errinfo *ei) MUST_CHECK;
/* Keeps the evidence in the store, when there is one; partial: what was kept of servers not asked stays. */
void cli_keep_evidence(struct cli *cli, bool partial);
/* Adds the evidence kept last of cli->org, and says how old it is. ERR_NOTFOUND when there is none. */
enum err cli_recall_evidence(struct cli *cli, struct errinfo *ei) MUST_CHECK;
/* "admin@CONTOSO.LAB" or "root", and "host". */
void cli_who(const struct cli *cli, char *who, size_t who_cap, char *from, size_t from_cap);
bool cli_read_only(const struct cli *cli);
/* Appends a JSON document and a newline to cli->out; takes the reference. NULL is out of memory. */
enum err cli_json(struct cli *cli, json_t *document, struct errinfo *ei) MUST_CHECK;
/* A CSV field, RFC 4180; a value that a spreadsheet would take for a formula gets a ' before it. */
void cli_csv(struct buf *out, const char *value, bool last);
/* A cell of a text table, safe to show, padded to width columns (0: as it is). */
void cli_cell(struct buf *out, const char *value, int width);
/* Writes what is in cli->out to --output or standard output and empties it. Where nobody reads standard output any more ("| head -1") the
   rest is dropped without a word: the exit code stays the command's own. */
enum err cli_flush(struct cli *cli, struct errinfo *ei) MUST_CHECK;
/* Nobody reads standard output any more; for a command that would wait for more to write. */
bool cli_reader_gone(struct cli *cli);

#define COMMAND_RUN(name)                                                                                    \
    enum err name(struct cli *cli, const void *options, const struct arg_list *words,                        \
                  const char *const *rest, int *code, struct errinfo *ei)
COMMAND_RUN(cmd_inventory);
COMMAND_RUN(cmd_check);
COMMAND_RUN(cmd_probe);
COMMAND_RUN(cmd_route);
COMMAND_RUN(cmd_spn);
COMMAND_RUN(cmd_plan);
COMMAND_RUN(cmd_apply);
COMMAND_RUN(cmd_rollback);
COMMAND_RUN(cmd_resume);
COMMAND_RUN(cmd_journal);
COMMAND_RUN(cmd_store);
COMMAND_RUN(cmd_exec);
COMMAND_RUN(cmd_proxy);
COMMAND_RUN(cmd_snapshot);
COMMAND_RUN(cmd_diff);
COMMAND_RUN(cmd_report);
COMMAND_RUN(cmd_accept);
COMMAND_RUN(cmd_themes);
COMMAND_RUN(cmd_completion);
COMMAND_RUN(cmd_version);
COMMAND_RUN(cmd_help);

struct check_options {
    bool probe, kept, remote;
    const char *via;
    struct arg_list iis;
};
struct probe_options {
    struct arg_list protocols;
    const char *user, *password;
};
struct route_options {
    const char *user, *mailbox_version, *mailbox_site, *protocol, *arrive, *host_name, *rpc_server;
    bool probe;
};
struct plan_options {
    struct arg_list findings, servers;
    const char *export_spn;
    bool probe, nudge;
};
struct snapshot_options {
    bool probe, remote;
    const char *via;
};
struct report_options {
    bool probe, redact, remote;
    const char *via;
};
struct accept_options {
    const char *server, *reason, *until;
};
struct apply_options {
    const char *via, *yes, *reason, *force_lock;
    int canary, wave, max_fail, parallel;
    struct arg_list servers; /* rollback */
};
struct journal_options {
    bool follow;
};
struct store_options {
    const char *from_password, *to_password;
};
struct exec_options {
    struct arg_list on;
    const char *via;
    int parallel;
};
struct proxy_options {
    const char *listen, *certificate, *key, *arrive, *upstream, *upstream_auth, *upstream_ca, *har, *metrics,
        *events;
    bool upstream_insecure;
    int threads, max_connections, header_timeout, idle_timeout;
    struct arg_list allow;
};
extern const struct arg_spec check_specs[], probe_specs[], route_specs[], plan_specs[], apply_specs[],
    rollback_specs[], exec_specs[], proxy_specs[], snapshot_specs[], report_specs[], accept_specs[],
    journal_specs[], store_specs[];

#define VERSION_STRING "0.1"

#endif
