// A tool server: lists and searches the notes in a directory that it may read.

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "tool_server.h"

// Where the grant mounts the notes.
#define MOUNT "/notes"
// As many notes as are looked at, and as many hits as a model reads with profit.
#define MOST_NOTES 1000
#define MOST_HITS 50
#define MOST_WORDS 32

typedef exports_dovetail_plugin_tools_error_t error_t_;

static bool fail(error_t_ *err, uint8_t tag, const char *text) {
    err->tag = tag;
    // All errors but `retryable` hold a text in the same place.
    tool_server_string_dup(&err->val.other, text);
    return false;
}

static bool unknown(error_t_ *err, const char *kind, const tool_server_string_t *name) {
    char text[256];
    snprintf(text, sizeof text, "there is no %s `%.*s`", kind, (int)(name->len < 100 ? name->len : 100), (char *)name->ptr);
    return fail(err, DOVETAIL_PLUGIN_TYPES_ERROR_INVALID, text);
}

// A text that grows.
typedef struct {
    char *ptr;
    size_t len;
} text_t;

static void add(text_t *text, const char *more) {
    size_t length = strlen(more);
    text->ptr = realloc(text->ptr, text->len + length + 1);
    memcpy(text->ptr + text->len, more, length + 1);
    text->len += length;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// The names of the notes, sorted; -1 where they cannot be listed.
static int names(char *found[MOST_NOTES]) {
    DIR *directory = opendir(MOUNT);
    if (!directory) return -1;
    int count = 0;
    for (struct dirent *entry; count < MOST_NOTES && (entry = readdir(directory));) {
        const char *end = strrchr(entry->d_name, '.');
        if (entry->d_type == DT_REG && end && (strcmp(end, ".md") == 0 || strcmp(end, ".txt") == 0)) {
            found[count++] = strdup(entry->d_name);
        }
    }
    closedir(directory);
    qsort(found, (size_t)count, sizeof *found, by_name);
    return count;
}

static void lower(char *text) {
    for (; *text; text++) *text = (char)tolower((unsigned char)*text);
}

static bool holds_all(const char *line, char *const *words, int count) {
    char *copy = strdup(line);
    lower(copy);
    bool all = true;
    for (int at = 0; at < count; at++) all = all && strstr(copy, words[at]);
    free(copy);
    return all;
}

static char *trimmed(char *line) {
    while (isspace((unsigned char)*line)) line++;
    for (size_t end = strlen(line); end && isspace((unsigned char)line[end - 1]); end--) line[end - 1] = 0;
    return line;
}

// Adds the lines of a note that hold all words.
static void search_note(const char *name, char *const *words, int count, text_t *hits, int *left) {
    char path[512];
    snprintf(path, sizeof path, MOUNT "/%s", name);
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    for (int number = 1; file && *left > 0 && getline(&line, &room, file) >= 0; number++) {
        if (!holds_all(line, words, count)) continue;
        char place[300];
        snprintf(place, sizeof place, "%s%s:%d: ", hits->len ? "\n" : "", name, number);
        add(hits, place);
        add(hits, trimmed(line));
        --*left;
    }
    free(line);
    if (file) fclose(file);
}

static bool run(const tool_server_string_t *tool, const tool_server_string_t *arguments, text_t *answer, error_t_ *err) {
    bool lists = tool->len == 4 && memcmp(tool->ptr, "list", 4) == 0;
    if (!lists && !(tool->len == 6 && memcmp(tool->ptr, "search", 6) == 0)) return unknown(err, "tool", tool);
    char *query = lists ? NULL : json_get((char *)arguments->ptr, arguments->len, "query");
    if (!lists && !query) return fail(err, DOVETAIL_PLUGIN_TYPES_ERROR_INVALID, "arguments of `search`: missing `query`");
    char *words[MOST_WORDS], *rest = NULL, *asked = query ? strdup(query) : NULL;
    int count = 0;
    if (query) lower(query);
    for (char *word = query ? strtok_r(query, " \t\r\n", &rest) : NULL; word && count < MOST_WORDS;
         word = strtok_r(NULL, " \t\r\n", &rest)) {
        words[count++] = word;
    }
    static char *notes[MOST_NOTES];
    int found = lists || count ? names(notes) : 0, left = MOST_HITS;
    for (int at = 0; at < found; at++) {
        if (lists) {
            if (at) add(answer, "\n");
            add(answer, notes[at]);
        } else {
            search_note(notes[at], words, count, answer, &left);
        }
        free(notes[at]);
    }
    bool done = true;
    if (found < 0) {
        done = fail(err, DOVETAIL_PLUGIN_TYPES_ERROR_UNAVAILABLE, "the notes cannot be listed; is `notes` there?");
    } else if (!lists && !count) {
        done = fail(err, DOVETAIL_PLUGIN_TYPES_ERROR_INVALID, "the query is empty");
    } else if (!lists && !answer->len) {
        add(answer, "no note mentions `");
        add(answer, asked);
        add(answer, "`");
    }
    free(asked);
    free(query);
    return done;
}

static void describe(exports_dovetail_plugin_tools_tool_t *tool, const char *name, const char *about, const char *schema) {
    tool_server_string_dup(&tool->name, name);
    tool_server_string_dup(&tool->description, about);
    tool_server_string_dup(&tool->input_schema_json, schema);
    tool->parallel_safe = tool->read_only = true;
}

bool exports_dovetail_plugin_tools_list_tools(exports_dovetail_plugin_tools_list_tool_t *ret, error_t_ *err) {
    (void)err;
    ret->ptr = calloc(2, sizeof *ret->ptr);
    ret->len = 2;
    describe(&ret->ptr[0], "search", "Finds lines in the project's notes that hold all words of a query",
             "{\"type\":\"object\",\"properties\":{\"query\":{\"type\":\"string\",\"description\":\"Words to look for, in "
             "any case\"}},\"required\":[\"query\"],\"additionalProperties\":false}");
    describe(&ret->ptr[1], "list", "Lists the project's notes",
             "{\"type\":\"object\",\"properties\":{},\"additionalProperties\":false}");
    return true;
}

bool exports_dovetail_plugin_tools_call_tool(exports_dovetail_plugin_tools_call_t *call,
                                             exports_dovetail_plugin_tools_call_result_t *ret, error_t_ *err) {
    text_t answer = {NULL, 0};
    add(&answer, "");
    bool done = run(&call->name, &call->arguments_json, &answer, err);
    if (done) {
        memset(ret, 0, sizeof *ret);
        ret->content.ptr = calloc(1, sizeof *ret->content.ptr);
        ret->content.len = 1;
        tool_server_string_dup_n(&ret->content.ptr->val.text, answer.ptr, answer.len);
    }
    free(answer.ptr);
    exports_dovetail_plugin_tools_call_free(call);
    return done;
}

bool exports_dovetail_plugin_tools_list_resources(exports_dovetail_plugin_tools_list_resource_info_t *ret, error_t_ *err) {
    (void)err;
    memset(ret, 0, sizeof *ret);
    return true;
}

bool exports_dovetail_plugin_tools_read_resource(tool_server_string_t *uri,
                                                 exports_dovetail_plugin_tools_list_content_t *ret, error_t_ *err) {
    (void)ret;
    return unknown(err, "resource", uri);
}

bool exports_dovetail_plugin_tools_list_prompts(exports_dovetail_plugin_tools_list_prompt_info_t *ret, error_t_ *err) {
    (void)err;
    memset(ret, 0, sizeof *ret);
    return true;
}

bool exports_dovetail_plugin_tools_get_prompt(tool_server_string_t *name, tool_server_string_t *arguments_json,
                                              tool_server_string_t *ret, error_t_ *err) {
    (void)arguments_json;
    (void)ret;
    return unknown(err, "prompt", name);
}
