/* A native plugin in plain C. What is wrong with its table is chosen when it is compiled, what its tool does by the name
 * that it is called by. */
#include "dovetail_native.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#ifndef ABI
#define ABI DOVETAIL_NATIVE_ABI
#endif
#ifndef SIZE
#define SIZE sizeof(struct dovetail_native_table)
#endif
#ifndef CALL
#define CALL call
#endif
#ifndef RELEASE
#define RELEASE release
#endif
#ifdef MANIFEST
const char dovetail_native_manifest[] = MANIFEST;
#elif !defined(NO_MANIFEST)
DOVETAIL_NATIVE_MANIFEST("crude", DOVETAIL_KIND_TOOLS);
#endif
#ifndef TABLE_MANIFEST
#define TABLE_MANIFEST dovetail_native_manifest
#endif
#ifndef MANIFEST_LEN
#define MANIFEST_LEN strlen(TABLE_MANIFEST)
#endif

#ifdef TAG
/* Makes two libraries of the same source differ. */
__attribute__((used)) static const char tag[] = TAG;
#endif

static int opened, released;

static int32_t say(struct dovetail_bytes *output, const char *text) {
  output->len = strlen(text);
  output->data = malloc(output->len + 1);
  memcpy(output->data, text, output->len + 1);
  return DOVETAIL_OK;
}

/* Whether the call is one of the tool of that name. */
static int is(const uint8_t *input, size_t len, const char *name) {
  char wanted[64] = "\"name\":\"";
  strcat(wanted, name);
  strcat(wanted, "\"");
  return memmem(input, len, wanted, strlen(wanted)) != NULL;
}

static int32_t tool(const uint8_t *input, size_t len, struct dovetail_bytes *output) {
  if (is(input, len, "segv")) {
    *(volatile int *)16 = 1;
  }
  if (is(input, len, "abort")) abort();
  if (is(input, len, "exit")) _exit(7);
  if (is(input, len, "unwind")) {
    /* What an exception of C++ does that nobody in the library catches. */
    static struct _Unwind_Exception exception;
    _Unwind_RaiseException(&exception);
  }
  if (is(input, len, "hang"))
    for (;;) pause();
  if (is(input, len, "nap")) {
    /* Late, but not for ever: until somebody makes the file that the input names. */
    char path[4096];
    const char *at = memmem(input, len, "/", 1), *end = at ? memchr(at, '\\', (const char *)input + len - at) : NULL;
    if (!at || !end || (size_t)(end - at) >= sizeof path) return DOVETAIL_UNKNOWN;
    memcpy(path, at, end - at);
    path[end - at] = 0;
    while (access(path, F_OK) != 0) usleep(1000);
  }
  if (is(input, len, "garbage")) return say(output, "{\"content\": 7}");
  if (is(input, len, "notutf8")) return say(output, "\xff\xfe");
  if (is(input, len, "null")) {
    output->len = 5;
    return DOVETAIL_OK;
  }
  if (is(input, len, "huge")) {
    output->len = 1 << 20;
    output->data = calloc(1, output->len);
    return DOVETAIL_OK;
  }
  if (is(input, len, "silent")) return DOVETAIL_OK;
  if (is(input, len, "status")) return 77;
  if (is(input, len, "unknown")) return DOVETAIL_UNKNOWN;
  if (is(input, len, "panic")) {
    say(output, "it broke\nbadly");
    return DOVETAIL_PANIC;
  }
  if (is(input, len, "error")) {
    say(output, "{\"unavailable\":\"no token\\u0007 inserted\"}");
    return DOVETAIL_ERROR;
  }
  if (is(input, len, "badly")) {
    say(output, "no token");
    return DOVETAIL_ERROR;
  }
  char text[128] = "{\"content\":[{\"text\":\"opened 0, released 00\"}]}";
  char *digits = strstr(text, "opened ") + 7;
  digits[0] = '0' + opened;
  digits[12] = '0' + released / 10;
  digits[13] = '0' + released % 10;
  return say(output, text);
}

int32_t call(uint32_t op, const uint8_t *input, size_t len, struct dovetail_bytes *output) {
  switch (op) {
  case DOVETAIL_OP_OPEN:
#ifdef REFUSE
    say(output, "{\"invalid\":\"it wants a token\"}");
    return DOVETAIL_ERROR;
#endif
    opened++;
    return say(output, "null");
  case DOVETAIL_OP_TOOLS_LIST_TOOLS:
#define LISTED(name) "{\"name\":\"" name "\",\"description\":\"d\",\"input-schema-json\":\"{}\"}"
    return say(output, "[" LISTED("well") "," LISTED("not a name") "," LISTED("segv") "," LISTED("abort") ","
                       LISTED("exit") "," LISTED("unwind") "," LISTED("hang") "]");
  case DOVETAIL_OP_TOOLS_CALL_TOOL:
    return tool(input, len, output);
  default:
    return DOVETAIL_UNKNOWN;
  }
}

void release(struct dovetail_bytes output) {
  free(output.data);
  released++;
}

#ifdef CONSTRUCTOR
__attribute__((constructor)) static void early(void) { CONSTRUCTOR; }
#endif

#ifndef NO_ENTRY
const struct dovetail_native_table *dovetail_native_plugin(void) {
  static struct dovetail_native_table table;
  table.abi = ABI;
  table.size = SIZE;
  table.manifest = (const uint8_t *)TABLE_MANIFEST;
  table.manifest_len = MANIFEST_LEN;
  table.call = CALL;
  table.release = RELEASE;
#ifdef NO_TABLE
  return NULL;
#endif
  return &table;
}
#endif
