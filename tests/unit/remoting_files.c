/* Small formats of SSH: known_hosts, a server's first packet, private key files. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/str.h"
#include "remoting/kexinit.h"
#include "remoting/keyfile.h"
#include "remoting/known_hosts.h"

#define KEY_A "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define KEY_B "AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA"
#define RSA   "AAAAB3NzaC1yc2EAAAADAQABAAAAAQA="

static struct buf blob_of(const char *base64)
{
    struct buf b;
    buf_init(&b, HOST_KEY_MAX);
    assert_int_equal(base64_decode(&b, base64, strlen(base64)), ERR_OK);
    return b;
}

static enum host_key_verdict judge(const char *text, const char *name, const char *base64, unsigned *line)
{
    struct known_host h = {0};
    const struct known_key *expected = NULL;
    struct buf key = blob_of(base64);
    assert_int_equal(known_host_find(&h, text, strlen(text), name), ERR_OK);
    enum host_key_verdict v = known_host_judge(&h, (const uint8_t *)key.data, key.len, &expected);
    *line = expected ? expected->line : 0;
    known_host_fini(&h);
    buf_fini(&key);
    return v;
}

static void test_known_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
        enum host_key_verdict verdict; /* of KEY_A */
        unsigned line;
    } rows[] = {
        {"", "h", HOST_KEY_UNKNOWN, 0},
        {"h ssh-ed25519 " KEY_A, "h", HOST_KEY_KNOWN, 0},
        {"h ssh-ed25519 " KEY_A " comment here\r\n", "h", HOST_KEY_KNOWN, 0},
        {"  \t h\tssh-ed25519\t" KEY_A "\n", "h", HOST_KEY_KNOWN, 0},
        {"H.Contoso.LAB ssh-ed25519 " KEY_A, "h.contoso.lab", HOST_KEY_KNOWN, 0},
        {"other ssh-ed25519 " KEY_A, "h", HOST_KEY_UNKNOWN, 0},
        {"# h ssh-ed25519 " KEY_A, "h", HOST_KEY_UNKNOWN, 0},
        {"a,h,b ssh-ed25519 " KEY_A, "h", HOST_KEY_KNOWN, 0},
        {"*.lab ssh-ed25519 " KEY_A, "h.lab", HOST_KEY_KNOWN, 0},
        {"*.lab ssh-ed25519 " KEY_A, "h.lab.evil", HOST_KEY_UNKNOWN, 0},
        {"*.lab,!h.lab ssh-ed25519 " KEY_A, "h.lab", HOST_KEY_UNKNOWN, 0},
        {"!h.lab,*.lab ssh-ed25519 " KEY_A, "h.lab", HOST_KEY_UNKNOWN, 0},
        {"e?01 ssh-ed25519 " KEY_A, "ex01", HOST_KEY_KNOWN, 0},
        {"e?01 ssh-ed25519 " KEY_A, "e01", HOST_KEY_UNKNOWN, 0},
        {"a*b*c ssh-ed25519 " KEY_A, "axxbyybc", HOST_KEY_KNOWN, 0},
        {"[h]:2222 ssh-ed25519 " KEY_A, "[h]:2222", HOST_KEY_KNOWN, 0},
        {"[h]:2222 ssh-ed25519 " KEY_A, "h", HOST_KEY_UNKNOWN, 0},
        {"[*]:2222 ssh-ed25519 " KEY_A, "[h]:2222", HOST_KEY_KNOWN, 0},
        {"\n\nh ssh-ed25519 " KEY_B, "h", HOST_KEY_CHANGED, 3},
        {"h ssh-ed25519 " KEY_B "\nh ssh-ed25519 " KEY_A, "h", HOST_KEY_KNOWN, 0},
        {"h ssh-rsa " RSA, "h", HOST_KEY_OTHER_TYPE, 1},
        {"h ssh-rsa " RSA "\nh ssh-ed25519 " KEY_B, "h", HOST_KEY_CHANGED, 2},
        {"h ssh-rsa " KEY_A, "h", HOST_KEY_UNKNOWN, 0}, /* the type must be the key's own */
        {"h ssh-ed25519 AAA", "h", HOST_KEY_UNKNOWN, 0},
        {"h ssh-ed25519", "h", HOST_KEY_UNKNOWN, 0},
        {"h", "h", HOST_KEY_UNKNOWN, 0},
        {"@cert-authority h ssh-ed25519 " KEY_A, "h", HOST_KEY_UNKNOWN, 0},
        {"@revoked * ssh-ed25519 " KEY_A, "h", HOST_KEY_REVOKED, 0},
        {"h ssh-ed25519 " KEY_A "\n@revoked h ssh-ed25519 " KEY_A, "h", HOST_KEY_REVOKED, 0},
        {"h ssh-ed25519 " KEY_A "\n@revoked h ssh-ed25519 " KEY_B, "h", HOST_KEY_KNOWN, 0},
        {"@revoked h ssh-ed25519 " KEY_B, "h", HOST_KEY_UNKNOWN, 0},
        {"@odd h ssh-ed25519 " KEY_A "\nh sk-new " KEY_A "\nh ssh-ed25519 " KEY_A, "h", HOST_KEY_KNOWN, 0},
        /* made by ssh-keygen -H from "h.contoso.lab" */
        {"|1|Y3PVFpxvpOnuKLPF3aT3s6NGOKg=|Kd4/uP3CW2qxXGImKdqj1pLN7zE= ssh-ed25519 " KEY_A, "h.contoso.lab",
         HOST_KEY_KNOWN, 0},
        {"|1|Y3PVFpxvpOnuKLPF3aT3s6NGOKg=|Kd4/uP3CW2qxXGImKdqj1pLN7zE= ssh-ed25519 " KEY_A, "h.contoso.la",
         HOST_KEY_UNKNOWN, 0},
        {"|1|F1E1KeoE|3988 ssh-ed25519 " KEY_A, "h", HOST_KEY_UNKNOWN, 0},
        {"|1| ssh-ed25519 " KEY_A, "h", HOST_KEY_UNKNOWN, 0},
        {"|1|a ssh-ed25519 " KEY_A, "h", HOST_KEY_UNKNOWN, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned line = 0;
        enum host_key_verdict v = judge(rows[i].text, rows[i].name, KEY_A, &line);
        if (v != rows[i].verdict || line != rows[i].line)
            fail_msg("row %zu: %d, line %u: %s", i, (int)v, line, rows[i].text);
    }
}

static void test_names_and_fingerprints(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        uint16_t port;
        const char *name; /* NULL: refused */
    } rows[] = {
        {"EX.contoso.lab", 22, "ex.contoso.lab"},
        {"ex", 2222, "[ex]:2222"},
        {"", 22, NULL},
        {"a b", 22, NULL},
        {"a\nb", 22, NULL},
        {"*", 22, NULL},
        {"a,b", 22, NULL},
        {"#a", 22, NULL},
        {"|1|", 22, NULL},
        {"@revoked", 22, NULL},
    };
    char text[FINGERPRINT_SIZE], type[48];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b;
        buf_init(&b, 512);
        assert_int_equal(known_host_name(&b, rows[i].host, rows[i].port), rows[i].name ? ERR_OK : ERR_INPUT);
        if (rows[i].name)
            assert_string_equal(buf_str(&b), rows[i].name);
        buf_fini(&b);
    }
    struct buf key = blob_of(KEY_A);
    /* as ssh-keygen -lf prints it */
    host_key_fingerprint((const uint8_t *)key.data, key.len, text);
    assert_string_equal(text, "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA");
    host_key_type((const uint8_t *)key.data, key.len, type, sizeof type);
    assert_string_equal(type, "ssh-ed25519");
    host_key_type((const uint8_t *)key.data, 14, type, sizeof type);
    assert_string_equal(type, "");
    host_key_type((const uint8_t *)"\xff\xff\xff\xffxxxx", 8, type, sizeof type);
    assert_string_equal(type, "");
    buf_fini(&key);
}

/* A first packet with these lists; the others empty. Returns its length. */
static size_t first_packet(char *out, const char *banner, const char *const lists[6])
{
    size_t at = strlen(banner);
    memcpy(out, banner, at);
    memset(out + at, 0, 22);
    out[at + 5] = 20;
    at += 22;
    for (int i = 0; i < 6; i++) {
        size_t n = strlen(lists[i]);
        out[at] = out[at + 1] = 0;
        out[at + 2] = (char)(n >> 8);
        out[at + 3] = (char)n;
        memcpy(out + at + 4, lists[i], n);
        at += 4 + n;
    }
    return at;
}

static void test_kexinit(void **state)
{
    (void)state;
    static const char *const lists[6] = {"kex-a,kex-b", "ssh-ed25519", "aes", "aes", "hmac", "hmac\x1b[2J"};
    char packet[512];
    struct kexinit k;
    size_t len = first_packet(packet, "SSH-2.0-OpenSSH_9.2\r\n", lists);
    kexinit_read(&k, packet, len);
    assert_string_equal(k.banner, "SSH-2.0-OpenSSH_9.2");
    assert_true(k.has_lists);
    assert_string_equal(k.lists[KEXINIT_KEX], "kex-a,kex-b");
    assert_null(strchr(k.lists[KEXINIT_MAC_IN], '\x1b'));
    /* at every cut: no list or all of them */
    for (size_t cut = 0; cut < len; cut++) {
        kexinit_read(&k, packet, cut);
        assert_false(k.has_lists);
    }
    kexinit_read(&k, "\r\nwelcome\r\nSSH-2.0-x\n", 22);
    assert_string_equal(k.banner, "SSH-2.0-x");
    assert_string_equal(k.said, "welcome");
    kexinit_read(&k, "220 mail ESMTP\r\n", 16);
    assert_string_equal(k.banner, "");
    assert_string_equal(k.said, "220 mail ESMTP");
    kexinit_read(&k, "", 0);
    assert_string_equal(k.said, "");
    assert_true(kexinit_agree("a,b,c", "x,b"));
    assert_false(kexinit_agree("a,bb", "b,aa"));
    assert_false(kexinit_agree("", ""));
    assert_false(kexinit_agree("a,,b", ",c,"));
}

static void test_keyfile(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum keyfile_format format;
        const char *type;
        bool encrypted;
    } rows[] = {
        {"", KEYFILE_UNKNOWN, "", false},
        {"hello", KEYFILE_UNKNOWN, "", false},
        {"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", KEYFILE_PEM, "ssh-rsa", true},
        {"-----BEGIN EC PRIVATE KEY-----\n", KEYFILE_PEM, "ecdsa", false},
        {"-----BEGIN PRIVATE KEY-----\n", KEYFILE_PEM, "", false},
        {"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", KEYFILE_PEM, "", true},
        {"PuTTY-User-Key-File-2: x", KEYFILE_PUTTY, "", false},
        {"ssh-ed25519 AAAA", KEYFILE_PUBLIC, "", false},
        {"ecdsa-sha2-nistp256 AAAA", KEYFILE_PUBLIC, "", false},
        /* "openssh-key-v1", none, none, "", 1 key of 4+11 bytes: ssh-ed25519 */
        {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAADwAA\n"
         "AAtzc2gtZWQyNTUxOQ==\n-----END OPENSSH PRIVATE KEY-----\n",
         KEYFILE_OPENSSH, "ssh-ed25519", false},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAEbm9uZQAAAAAAAAAB\n"
         "AAAADwAAAAtzc2gtZWQyNTUxOQ==\n-----END OPENSSH PRIVATE KEY-----\n",
         KEYFILE_OPENSSH, "ssh-ed25519", true},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5v\n-----END", KEYFILE_OPENSSH, "",
         false},
        {"-----BEGIN OPENSSH PRIVATE KEY-----\n", KEYFILE_OPENSSH, "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct keyfile k;
        keyfile_look(&k, rows[i].text, strlen(rows[i].text));
        assert_int_equal(k.format, rows[i].format);
        assert_string_equal(k.type, rows[i].type);
        assert_int_equal(k.encrypted, rows[i].encrypted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_hosts),
        cmocka_unit_test(test_names_and_fingerprints),
        cmocka_unit_test(test_kexinit),
        cmocka_unit_test(test_keyfile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
