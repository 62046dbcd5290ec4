// As much of JSON as the examples need: a text of an object, by its key.
#pragma once

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Reads four hexadecimal digits; -1 where they are none.
static long json_hex(const char *at, const char *end) {
    long value = 0;
    for (int i = 0; i < 4; i++, at++) {
        if (at == end) return -1;
        int digit = *at >= '0' && *at <= '9'   ? *at - '0'
                    : *at >= 'a' && *at <= 'f' ? *at - 'a' + 10
                    : *at >= 'A' && *at <= 'F' ? *at - 'A' + 10
                                               : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

// Writes a character in UTF-8 and returns the place behind it.
static char *json_utf8(char *out, unsigned long c) {
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
        *out++ = (char)(0x80 | (c & 0x3f));
    }
    return out;
}

// Reads the text that begins behind a quote and returns the place behind its end; NULL where it has none. `out` has room
// for what is left of the input: no escape is shorter than what it stands for.
static const char *json_text(const char *at, const char *end, char *out) {
    while (at < end && *at != '"') {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        if (++at == end) return NULL;
        char escape = *at++;
        if (escape != 'u') {
            const char *found = strchr("b\bf\fn\nr\rt\t", escape);
            *out++ = escape && found && strchr("bfnrt", escape) ? found[1] : escape;
            continue;
        }
        long c = json_hex(at, end);
        if (c < 0) return NULL;
        at += 4;
        if (c >= 0xd800 && c < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
            long low = json_hex(at + 2, end);
            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                at += 6;
            }
        }
        // Half of a pair is no character.
        out = json_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : (unsigned long)c);
    }
    *out = 0;
    return at < end ? at + 1 : NULL;
}

// The text that stands under a key of a JSON object, for the caller to free; NULL where there is none.
static char *json_get(const char *json, size_t length, const char *key) {
    const char *at = json, *end = json + length;
    char *text = malloc(length + 1);
    bool wanted = false;
    for (int depth = 0; text && at && at < end;) {
        switch (*at++) {
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            depth--;
            break;
        case ',':
            wanted = wanted && depth != 1;
            break;
        case '"':
            at = json_text(at, end, text);
            if (at && depth == 1 && wanted) return text;
            const char *next = at;
            while (next && next < end && strchr(" \t\r\n", *next)) next++;
            wanted = next && next < end && *next == ':' && depth == 1 && strcmp(text, key) == 0;
            break;
        }
    }
    free(text);
    return NULL;
}
