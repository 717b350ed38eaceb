#include "remoting/script.h"

#include <stddef.h>
#include <string.h>

#include "core/base/str.h"

static const char *const snapins[GENERATION_COUNT] = {
    [GENERATION_2007] = "Microsoft.Exchange.Management.PowerShell.Admin",
    [GENERATION_2010] = "Microsoft.Exchange.Management.PowerShell.E2010",
    [GENERATION_2013] = "Microsoft.Exchange.Management.PowerShell.SnapIn",
    [GENERATION_2016] = "Microsoft.Exchange.Management.PowerShell.SnapIn",
    [GENERATION_2019] = "Microsoft.Exchange.Management.PowerShell.SnapIn",
    [GENERATION_SE] = "Microsoft.Exchange.Management.PowerShell.SnapIn",
};

void script_init(struct script *s)
{
    buf_init(&s->text, SCRIPT_TEXT_MAX);
    buf_init(&s->line, SCRIPT_LINE_MAX);
    buf_init(&s->input, 4 * SCRIPT_TEXT_MAX);
}

void script_fini(struct script *s)
{
    buf_fini(&s->text);
    buf_fini(&s->line);
    buf_fini(&s->input);
}

const char *script_snapin(enum generation g)
{
    return (unsigned)g < GENERATION_COUNT ? snapins[g] : NULL;
}

static enum err write_text(struct buf *out, const char *snapin, const struct cmdlet *cmdlet,
                           struct errinfo *ei)
{
    (void)buf_adds(out, "$ProgressPreference='SilentlyContinue'\n"
                        "[Console]::OutputEncoding=[Text.Encoding]::UTF8\n"
                        "$ErrorActionPreference='Stop'\n");
    (void)buf_addf(out, "Add-PSSnapin %s\n", snapin);
    enum err err = cmdlet_text(out, cmdlet, ei);
    if (err == ERR_LIMIT)
        return err_set(ei, err, "set fewer values at once", "%s is longer than a script may be (%d bytes)",
                       cmdlet->name ? cmdlet->name : "the cmdlet", SCRIPT_TEXT_MAX);
    return err;
}

static enum err encode(struct buf *out, const struct buf *text)
{
    struct buf utf16;
    buf_init(&utf16, 2 * SCRIPT_TEXT_MAX);
    enum err err = utf16le_encode(&utf16, buf_str(text), text->len);
    if (err == ERR_OK)
        err = base64_encode(out, utf16.data, utf16.len);
    buf_fini(&utf16);
    return err;
}

static enum err write_line(struct buf *out, const char *program, const struct buf *text)
{
    (void)buf_addf(out, "%s -NoProfile -NonInteractive -EncodedCommand ", program);
    return encode(out, text);
}

/* What runs first when the script comes by standard input. A connection that breaks ends the input early, and
   the half of a script could still be a script: hence the length. */
static enum err write_bootstrap(struct buf *out, size_t input_len)
{
    return buf_addf(out,
                    "$s=[Console]::In.ReadToEnd().Trim()\n"
                    "if($s.Length -ne %zu){throw 'The script did not arrive whole.'}\n"
                    "Invoke-Expression ([Text.Encoding]::Unicode.GetString([Convert]::FromBase64String($s)))",
                    input_len);
}

static enum err by_input(struct script *s, const char *program)
{
    struct buf bootstrap;
    buf_init(&bootstrap, 1024);
    enum err err = encode(&s->input, &s->text);
    if (err == ERR_OK)
        err = write_bootstrap(&bootstrap, s->input.len);
    if (err == ERR_OK) {
        buf_reset(&s->line);
        err = write_line(&s->line, program, &bootstrap);
    }
    buf_fini(&bootstrap);
    return err;
}

static bool program_is_usable(const char *program)
{
    size_t len = strnlen(program, SCRIPT_SHELL_MAX + 1);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)program[i] < ' ' || program[i] == 0x7f)
            return false;
    }
    return len > 0 && len <= SCRIPT_SHELL_MAX && utf8_valid(program, len);
}

enum err script_build(struct script *s, const char *program, enum generation generation,
                      const struct cmdlet *cmdlet, struct errinfo *ei)
{
    const char *snapin = script_snapin(generation);
    if (!program)
        program = "powershell";
    if (!snapin)
        return err_set(ei, ERR_INPUT, "only servers of Exchange 2007 and later can be changed",
                       "no snap-in is known for a server of version %s", generation_name(generation));
    if (!program_is_usable(program))
        return err_set(ei, ERR_CONFIG, "ssh_command is the PowerShell to start, such as powershell",
                       "ssh_command is empty, longer than %d bytes or holds control characters",
                       SCRIPT_SHELL_MAX);
    buf_reset(&s->text);
    buf_reset(&s->line);
    buf_reset(&s->input);
    enum err err = write_text(&s->text, snapin, cmdlet, ei);
    if (err != ERR_OK)
        return err;
    err = write_line(&s->line, program, &s->text);
    if (err == ERR_LIMIT)
        err = by_input(s, program);
    if (err != ERR_OK)
        return err_set(ei, err, NULL, "%s: the script could not be encoded", cmdlet->name);
    return ERR_OK;
}
