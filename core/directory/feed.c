/* Entries kept as LDIF, back into an organisation: what a snapshot holds, through the same decoder. */
#include "core/directory/decode.h"
#include "core/directory/directory.h"
#include "core/directory/ldif.h"

#include <stdlib.h>

struct directory_feed {
    struct decode *decode;
    struct ldif_wants wants;
    struct ldif parser;
};

static enum err take_entry(void *arg, const struct entry *e, struct errinfo *ei)
{
    struct directory_feed *f = arg;
    return decode_entry(f->decode, e, ei);
}

static void take_note(void *arg, uint64_t line, const char *subject, const char *text)
{
    struct directory_feed *f = arg;
    decode_note(f->decode, subject, "line %llu: %s", (unsigned long long)line, text);
}

enum err directory_feed_new(struct directory_feed **out, struct errinfo *ei)
{
    struct directory_feed *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(ei, ERR_NOMEM, NULL, "no memory for an organisation");
    enum err e = decode_new(&f->decode, ei);
    if (e) {
        free(f);
        return e;
    }
    f->wants = (struct ldif_wants){.who = FOR_ORG | FOR_COMPUTER,
                                   .wanted = CLASSES_OF_ORG | CLASS_COMPUTER,
                                   .entry = take_entry,
                                   .note = take_note,
                                   .arg = f};
    ldif_init(&f->parser, &f->wants, LDIF_UTF8);
    *out = f;
    return ERR_OK;
}

enum err directory_feed(struct directory_feed *f, const char *data, size_t len, struct errinfo *ei)
{
    return ldif_feed(&f->parser, data, len, ei);
}

enum err directory_feed_end(struct directory_feed *f, const struct directory_origin *origin, struct org **out,
                            struct errinfo *ei)
{
    const struct decode_context context = {.source = origin->source,
                                           .controller = origin->controller,
                                           .default_naming_context = origin->default_naming_context,
                                           .config_naming_context = origin->config_naming_context,
                                           .root_naming_context = origin->root_naming_context,
                                           .taken_at = origin->taken_at};
    bool cut;
    enum err e = ldif_finish(&f->parser, &cut, ei);
    if (e)
        return e;
    if (!decode_servers(f->decode) && !decode_has_organization(f->decode))
        return err_set(ei, ERR_INPUT, NULL, "there is no Exchange organisation in it");
    return decode_finish(&f->decode, &context, out, ei);
}

void directory_feed_free(struct directory_feed **f)
{
    if (!*f)
        return;
    ldif_fini(&(*f)->parser);
    decode_free(&(*f)->decode);
    free(*f);
    *f = NULL;
}
