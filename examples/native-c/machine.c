/* A tool server in plain C: asks the kernel how long this machine runs and how busy it is, which no sandbox can. */
#include "dovetail_native.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

DOVETAIL_NATIVE_MANIFEST("machine", DOVETAIL_KIND_TOOLS);

static const char tools[] = "[{\"name\":\"load\",\"description\":\"How long this machine runs and how busy it is\","
                            "\"input-schema-json\":\"{\\\"type\\\":\\\"object\\\"}\",\"read-only\":true}]";

/* Hands a text over, until `release` takes it back. */
static int32_t answer(struct dovetail_bytes *output, int32_t status, const char *text) {
  size_t len = strlen(text);
  uint8_t *copy = malloc(len);
  if (!copy) return DOVETAIL_UNKNOWN;
  memcpy(copy, text, len);
  output->data = copy;
  output->len = len;
  return status;
}

/* Whether the call is one of `load`. Quotes inside of JSON texts have a backslash before them, so only the member itself
 * looks like this; more parameters than that would want a JSON library. */
static int is_load(const uint8_t *input, size_t len) {
  static const char member[] = "\"name\":\"load\"";
  for (size_t at = 0; at + sizeof member - 1 <= len; at++)
    if (memcmp(input + at, member, sizeof member - 1) == 0) return 1;
  return 0;
}

static int32_t load(struct dovetail_bytes *output) {
  struct sysinfo info;
  if (sysinfo(&info) != 0) return answer(output, DOVETAIL_ERROR, "{\"unavailable\":\"the kernel does not say\"}");
  char text[128];
  double busy = (double)info.loads[0] / (1 << SI_LOAD_SHIFT);
  snprintf(text, sizeof text, "{\"content\":[{\"text\":\"up %ld s, load %.2f, %u processes\"}]}", info.uptime, busy,
           (unsigned)info.procs);
  return answer(output, DOVETAIL_OK, text);
}

static int32_t call(uint32_t op, const uint8_t *input, size_t len, struct dovetail_bytes *output) {
  switch (op) {
  case DOVETAIL_OP_OPEN:
    return answer(output, DOVETAIL_OK, "null");
  case DOVETAIL_OP_TOOLS_LIST_TOOLS:
    return answer(output, DOVETAIL_OK, tools);
  case DOVETAIL_OP_TOOLS_CALL_TOOL:
    if (is_load(input, len)) return load(output);
    return answer(output, DOVETAIL_ERROR, "{\"invalid\":\"there is no such tool; there is load\"}");
  default:
    return DOVETAIL_UNKNOWN;
  }
}

static void release(struct dovetail_bytes output) { free(output.data); }

static const struct dovetail_native_table table = {
    .abi = DOVETAIL_NATIVE_ABI,
    .size = sizeof table,
    .manifest = (const uint8_t *)dovetail_native_manifest,
    .manifest_len = sizeof dovetail_native_manifest - 1,
    .call = call,
    .release = release,
};

const struct dovetail_native_table *dovetail_native_plugin(void) { return &table; }
