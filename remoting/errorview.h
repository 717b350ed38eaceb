/*
 * PowerShell's errors as it writes them for people, taken apart again. Pure.
 *
 *     Set-OutlookAnywhere : The operation couldn't be performed because object 'X' couldn't be found on
 *     'dc1.contoso.lab'.
 *     At line:5 char:1
 *     + Set-OutlookAnywhere -Identity 'X'
 *     + ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
 *         + CategoryInfo          : NotSpecified: (X:String) [Set-OutlookAnywhere], NotFoundException
 *         + FullyQualifiedErrorId : 8EBB9CC0,Microsoft.Exchange.Management...Tasks.SetRpcHttp
 *
 * A message wrapped at the console's width becomes one line again; where the error happened in our own script
 * is dropped. Words and order are those of every Windows PowerShell ("normal view"); translated servers
 * translate the message and the "At" line only.
 */
#ifndef REMOTING_ERRORVIEW_H
#define REMOTING_ERRORVIEW_H

#include "core/transport.h"

#define ERRORVIEW_MAX_ERRORS  1000
#define ERRORVIEW_MAX_MESSAGE 32768 /* bytes; what is longer is cut */

struct error_list {
    struct remote_error *v;
    size_t n, cap;
};

void error_list_fini(struct error_list *l);
/* Copies; NULL and "" give NULL but for the message. Nothing happens above ERRORVIEW_MAX_ERRORS. */
enum err error_list_add(struct error_list *l, const char *message, const char *id, const char *category,
                        const char *target) MUST_CHECK;

/* Does the text hold an error in that view? */
bool errorview_is_present(const char *text);
/* Appends every error of the text; a text without the view is one error as it stands, an empty one none. */
enum err errorview_split(struct error_list *out, const char *text) MUST_CHECK;
/* "NotSpecified: (X:String) [Set-X], SomeException" into its parts; each may come out empty. Buffers of cap
 * bytes. */
void errorview_category(const char *info, char *category, char *target, char *activity, size_t cap);

#endif
