/* Inside the HTTP client's two files only. */
#ifndef REMOTING_WSMAN_HTTP_INT_H
#define REMOTING_WSMAN_HTTP_INT_H

#include <curl/curl.h>

#include "remoting/wsman_http.h"

struct wsman_http {
    struct wsman_http_settings settings;
    CURLM *multi;
    CURL *curl;
    struct curl_slist *connect_to;
    int fd;     /* connected, to be handed to libcurl; -1 afterwards */
    int socket; /* the connection's, whoever holds it; -1 once closed */
    bool up;    /* the connection has not been seen to fail */
    long local_port;
    char address[64], error[CURL_ERROR_SIZE];
    bool has_certificate;
    unsigned char certificate[32]; /* SHA-256 of the first one seen */
};

#endif
