// A sink that counts events by kind and writes the sum to the host's log.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event_sink.h"

// Kinds that the host has; more would be left out of the list, not of the sum.
#define MOST_KINDS 64

static struct {
    char name[64];
    unsigned long count;
} kinds[MOST_KINDS];
static size_t known;
static unsigned long sum;

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

static void count(const event_sink_string_t *kind) {
    sum++;
    size_t at = 0;
    while (at < known && (strlen(kinds[at].name) != kind->len || memcmp(kinds[at].name, kind->ptr, kind->len))) at++;
    if (at == known) {
        if (known == MOST_KINDS || kind->len >= sizeof kinds->name) return;
        memcpy(kinds[known++].name, kind->ptr, kind->len);
    }
    kinds[at].count++;
}

static void write_sum(dovetail_plugin_log_level_t level) {
    static char text[MOST_KINDS * 96];
    qsort(kinds, known, sizeof *kinds, by_name);
    size_t length = (size_t)snprintf(text, sizeof text, "%lu events: ", sum);
    for (size_t at = 0; at < known; at++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s %lu", at ? ", " : "", kinds[at].name,
                                   kinds[at].count);
    }
    event_sink_string_t message = {(uint8_t *)text, length};
    dovetail_plugin_log_write(level, &message);
}

void exports_dovetail_plugin_sink_subscriptions(exports_dovetail_plugin_sink_subscription_t *ret) {
    ret->kinds.ptr = calloc(1, sizeof *ret->kinds.ptr);
    ret->kinds.len = 1;
    event_sink_string_dup(ret->kinds.ptr, "*");
    ret->classes = EXPORTS_DOVETAIL_PLUGIN_SINK_FIELD_CLASSES_BASIC;
}

bool exports_dovetail_plugin_sink_open(event_sink_string_t *config_json, exports_dovetail_plugin_sink_error_t *err) {
    (void)err;
    event_sink_string_free(config_json);
    return true;
}

bool exports_dovetail_plugin_sink_deliver(exports_dovetail_plugin_sink_list_event_t *batch,
                                          exports_dovetail_plugin_sink_ack_t *ret,
                                          exports_dovetail_plugin_sink_error_t *err) {
    (void)err;
    for (size_t at = 0; at < batch->len; at++) count(&batch->ptr[at].kind);
    exports_dovetail_plugin_sink_list_event_free(batch);
    write_sum(DOVETAIL_PLUGIN_LOG_LEVEL_DEBUG);
    ret->tag = EXPORTS_DOVETAIL_PLUGIN_SINK_ACK_ACCEPTED;
    return true;
}

bool exports_dovetail_plugin_sink_close(exports_dovetail_plugin_sink_error_t *err) {
    (void)err;
    write_sum(DOVETAIL_PLUGIN_LOG_LEVEL_INFO);
    return true;
}
