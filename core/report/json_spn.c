#include "core/report/json.h"

#include "core/base/str.h"

static json_t *problems_json(int problems)
{
    json_t *list = json_array();
    for (int bit = 1; bit <= problems; bit <<= 1)
        if (problems & bit)
            json_array_append_new(list, json_text(spn_problem_words(bit)));
    return list;
}

static json_t *enctypes_json(const struct spn_account *a)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{16, "aes256"}, {8, "aes128"}, {4, "rc4"}, {2, "des-md5"}, {1, "des-crc"}};
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (a->enctypes & names[i].bit)
            json_array_append_new(list, json_string(names[i].name));
    return list;
}

static json_t *account_json(const struct spn_account *a, int64_t now)
{
    json_t *o = json_object(), *why = json_array();
    json_object_set_new(o, "account", json_text(a->account));
    json_object_set_new(o, "dn", json_text(a->dn));
    json_object_set_new(o, "class", json_string(a->is_computer ? "computer" : "user"));
    json_object_set_new(o, "server", json_text(a->server ? a->server->name : NULL));
    json_object_set_new(o, "supported_encryption_types",
                        a->has_enctypes ? json_integer(a->enctypes) : json_null());
    json_object_set_new(o, "encryption_types", a->has_enctypes ? enctypes_json(a) : json_null());
    json_object_set_new(o, "password_set_at", json_time(a->pwd_last_set));
    json_object_set_new(o, "password_age_days",
                        a->pwd_last_set ? json_integer((now - a->pwd_last_set) / 86400) : json_null());
    json_object_set_new(o, "problems", problems_json(a->problems));
    json_object_set_new(o, "alternate_service_account_guess", json_boolean(a->is_guess));
    for (size_t i = 0; i < a->n_why; i++)
        json_array_append_new(why, json_text(a->why[i]));
    json_object_set_new(o, "why", why);
    return o;
}

static json_t *ticket_json(const struct observation *o)
{
    if (!o)
        return json_null();
    json_t *j = json_object();
    json_object_set_new(j, "outcome", json_string(outcome_name(o->outcome)));
    json_object_set_new(j, "etype", o->u.ticket.etype ? json_integer(o->u.ticket.etype) : json_null());
    json_object_set_new(j, "etype_name",
                        o->u.ticket.etype ? json_text(krb_etype_name(o->u.ticket.etype)) : json_null());
    json_object_set_new(j, "kvno", o->u.ticket.kvno ? json_integer(o->u.ticket.kvno) : json_null());
    json_object_set_new(j, "error", o->u.ticket.error ? json_integer(o->u.ticket.error) : json_null());
    json_object_set_new(j, "detail", json_text(o->detail));
    json_object_set_new(j, "at", json_time(o->at));
    return j;
}

static json_t *row_json(const struct spn_row *r)
{
    json_t *o = json_object(), *owners = json_array();
    json_object_set_new(o, "name", json_text(r->name));
    json_object_set_new(o, "kind", json_string(r->server ? "server" : "namespace"));
    json_object_set_new(o, "server", json_text(r->server ? r->server->name : NULL));
    json_object_set_new(o, "state", json_string(spn_state_name(r->state)));
    for (size_t i = 0; i < r->n_owners; i++) {
        json_t *j = json_object();
        json_object_set_new(j, "account", json_text(r->owners[i].account->account));
        json_object_set_new(j, "dn", json_text(r->owners[i].account->dn));
        json_object_set_new(j, "spn", json_text(r->owners[i].spn));
        json_object_set_new(j, "host_alias", json_boolean(r->owners[i].is_alias));
        json_array_append_new(owners, j);
    }
    json_object_set_new(o, "owners", owners);
    json_object_set_new(o, "problems", problems_json(r->problems));
    json_object_set_new(o, "ticket", ticket_json(r->ticket));
    json_object_set_new(o, "advice", json_text(r->advice));
    return o;
}

json_t *json_spn(const struct spn_audit *a, int64_t now)
{
    json_t *o = json_object(), *rows = json_array(), *accounts = json_array(), *commands = json_array();
    json_object_set_new(o, "at", json_time(a->at));
    json_object_set_new(o, "whole_forest", json_boolean(a->whole_forest));
    for (size_t i = 0; i < a->n_rows; i++)
        json_array_append_new(rows, row_json(&a->rows[i]));
    json_object_set_new(o, "names", rows);
    for (size_t i = 0; i < a->n_accounts; i++)
        json_array_append_new(accounts, account_json(&a->accounts[i], now));
    json_object_set_new(o, "accounts", accounts);
    for (size_t i = 0; i < a->n_commands; i++) {
        json_t *j = json_object();
        json_object_set_new(j, "command", json_text(a->commands[i].text));
        json_object_set_new(j, "because", json_text(a->commands[i].because));
        json_array_append_new(commands, j);
    }
    json_object_set_new(o, "setspn", commands);
    return o;
}
