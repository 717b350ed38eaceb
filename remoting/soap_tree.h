/*
 * A SOAP answer as a tree: elements with their namespace, attributes that have none, and text. Pure: no network, no entities, no DTD.
 *
 * Much leaner than libxml2's own: one arena for all elements, one buffer for all text, of which an element's is a range. What the tree
 * gives out lives as long as the tree. One thread.
 */
#ifndef REMOTING_SOAP_TREE_H
#define REMOTING_SOAP_TREE_H

#include "core/base/arena.h"
#include "core/base/buf.h"

struct soap_attribute {
    const char *name, *value;
    const struct soap_attribute *next;
};

struct soap_node {
    const char *ns, *name; /* ns: "" for none */
    const struct soap_attribute *attributes;
    const struct soap_node *children, *next;
    const struct soap_tree *tree;
    size_t from, to; /* of the tree's text: its own and that of all below, in order */
};

struct soap_tree {
    struct arena arena;
    struct buf text;
    const struct soap_node *root;
    struct _xmlParserCtxt *parser; /* owns the names */
};

/* xml is UTF-8, whatever it declares. ERR_PROTOCOL: no whole XML, or with a DTD; ERR_LIMIT: elements nested deeper than depth_max, or
   more of them than is taken. soap_tree_fini() in any case. */
enum err soap_tree_read(struct soap_tree *t, const char *xml, size_t len, int depth_max) MUST_CHECK;
void soap_tree_fini(struct soap_tree *t);

bool soap_node_is(const struct soap_node *n, const char *ns, const char *name); /* n NULL: no */
const struct soap_node *soap_node_child(const struct soap_node *n, const char *ns, const char *name);
const char *soap_node_attribute(const struct soap_node *n, const char *name); /* "" where there is none */
const char *soap_node_text(const struct soap_node *n, size_t *len); /* not ended by a NUL; n NULL: empty */

#endif
