/*
 * dovetail_native.h: what a native Dovetail plugin exports.
 *
 * A native plugin is a shared library that dovetail loads into its own process. NOTHING CONFINES IT: it can do whatever
 * the user can, and a crash in it ends dovetail. Write one only for what a sandbox cannot do (a key store, a hardware
 * token, a graphics card); for everything else a component is safer and about as fast. The user has to allow native
 * plugins once (`dovetail.allow_native`), and each library by its digest.
 *
 * The library exports two things: a text, `dovetail_native_manifest`, that says what it is and is read without running
 * it, and a function, `dovetail_native_plugin`, that returns a table. It stays loaded until the process ends. In Rust,
 * use the crate `dovetail-native-api`, which does all of this.
 *
 * Threads. dovetail makes one call at a time into a library, all of them on one thread that it keeps for it: the first is
 * DOVETAIL_OP_OPEN. A library may start threads of its own. It must not unwind (a C++ exception, a Rust panic) out of
 * any function here: that ends the process.
 *
 * Time. Each call has a deadline (`deadline_ms` in plugin.toml, or the default of its kind). A call that is late cannot
 * be stopped: dovetail goes on without its answer, and does not call the library again before that call has returned.
 *
 * Data. Input and output are UTF-8 JSON. The records are those of the contract in `wit/`, with the names that they have
 * there:
 *
 *     record, parameters   an object; the parameters of a function are the fields of one object
 *     option<T>            the value, or null, or left out
 *     enum, plain variant  its name: "gate"
 *     variant with value   an object with its name as the only key: {"deny": "not here"}
 *     flags                a list of names: ["websockets"]
 *     list<u8>             base64, standard alphabet, with padding
 *     tuple                a list
 *     u64 and s64          a number
 *     no answer            null
 *
 * For example DOVETAIL_OP_HOOKS_HANDLE gets {"event": {"name": "PreToolUse", ...}} and answers
 * {"decision": {"deny": "not here"}, "context": null, "message": null}. Fields that a library does not know must be
 * ignored: they are how the contract grows.
 */
#ifndef DOVETAIL_NATIVE_H
#define DOVETAIL_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The layout and rules in this file. A host refuses a library that was built for another number. */
#define DOVETAIL_NATIVE_ABI 1

/* The version of wit/ that the payloads follow. */
#define DOVETAIL_NATIVE_API "0.1.0"

/* What a call came to. Any other number is taken for a crash that was caught. */
#define DOVETAIL_OK 0      /* the output is the answer */
#define DOVETAIL_ERROR 1   /* the output is an `error` of wit/types.wit, such as {"unavailable": "no token inserted"} */
#define DOVETAIL_PANIC 2   /* the library broke; the output is one line of text. OPEN is called before anything else */
#define DOVETAIL_UNKNOWN 3 /* the library does not implement the operation; no output */

/* What to do. Input and output are the parameters and results of the functions in wit/ that are named beside. */
#define DOVETAIL_OP_OPEN 0x0001u /* {"config-json": "{}", "host": "dovetail 0.1.0"}; no answer. First, and again after a fault: forget everything and start anew */

#define DOVETAIL_OP_PROVIDER_DESCRIBE 0x0101u    /* provider.describe */
#define DOVETAIL_OP_PROVIDER_CONFIGURE 0x0102u   /* provider.configure; again after each OPEN */
#define DOVETAIL_OP_PROVIDER_PREPARE 0x0103u     /* provider.prepare */
#define DOVETAIL_OP_PROVIDER_AUTHORIZE 0x0104u   /* provider.authorize */
#define DOVETAIL_OP_PROVIDER_CLASSIFY 0x0105u    /* provider.classify */
#define DOVETAIL_OP_PROVIDER_RECOVER 0x0106u     /* provider.recover */
#define DOVETAIL_OP_PROVIDER_LIST_MODELS 0x0107u /* provider.list-models */

#define DOVETAIL_OP_TOOLS_LIST_TOOLS 0x0201u /* tools.list-tools */
#define DOVETAIL_OP_TOOLS_CALL_TOOL 0x0202u  /* tools.call-tool */

#define DOVETAIL_OP_HOOKS_SUBSCRIPTIONS 0x0301u /* hooks.subscriptions */
#define DOVETAIL_OP_HOOKS_HANDLE 0x0302u        /* hooks.handle */

#define DOVETAIL_OP_SINK_SUBSCRIPTIONS 0x0401u /* sink.subscriptions */
#define DOVETAIL_OP_SINK_OPEN 0x0402u          /* sink.open; again after each OPEN */
#define DOVETAIL_OP_SINK_DELIVER 0x0403u       /* sink.deliver */
#define DOVETAIL_OP_SINK_CLOSE 0x0404u         /* sink.close */

#if defined(__GNUC__)
#define DOVETAIL_NATIVE_EXPORT __attribute__((visibility("default")))
#else
#define DOVETAIL_NATIVE_EXPORT
#endif

/* What the library is, as JSON: {"abi":1,"id":"acme-signer","api":"0.1.0","kinds":["provider"]}. `id` and `kinds` must be
 * what plugin.toml says. It stands in the file as it is (no pointers, no code to make it), so that a library that is for
 * another host is refused before any of its code runs. Written with the macro below, once, outside of any function. */
extern DOVETAIL_NATIVE_EXPORT const char dovetail_native_manifest[];

#define DOVETAIL_KIND_PROVIDER "\"provider\""
#define DOVETAIL_KIND_TOOLS "\"tools\""
#define DOVETAIL_KIND_HOOKS "\"hooks\""
#define DOVETAIL_KIND_SINK "\"sink\""

#define DOVETAIL_NATIVE_TEXT_(x) #x
#define DOVETAIL_NATIVE_TEXT(x) DOVETAIL_NATIVE_TEXT_(x)

/* DOVETAIL_NATIVE_MANIFEST("acme-signer", DOVETAIL_KIND_PROVIDER "," DOVETAIL_KIND_TOOLS); */
#define DOVETAIL_NATIVE_MANIFEST(id, kinds)                                                                          \
  const char dovetail_native_manifest[] = "{\"abi\":" DOVETAIL_NATIVE_TEXT(DOVETAIL_NATIVE_ABI) ",\"id\":\"" id           \
                                          "\",\"api\":\"" DOVETAIL_NATIVE_API "\",\"kinds\":[" kinds "]}"

/* Bytes that the library made. */
struct dovetail_bytes {
  uint8_t *data; /* may be null where len is 0 */
  size_t len;
};

/* What the library is. Must not change or go away after `dovetail_native_plugin` has returned. */
struct dovetail_native_table {
  uint32_t abi;  /* DOVETAIL_NATIVE_ABI */
  uint32_t size; /* sizeof(struct dovetail_native_table). Later versions may append members; a host reads those it knows */

  /* `dovetail_native_manifest` once more, without the zero at its end: a library is what its file says. */
  const uint8_t *manifest;
  size_t manifest_len;

  /* Does `op`. `input` is valid during the call only. Whatever `output` holds afterwards goes back to `release`, also
   * after an error; it is {NULL, 0} before the call. */
  int32_t (*call)(uint32_t op, const uint8_t *input, size_t input_len, struct dovetail_bytes *output);

  /* Takes back what `call` gave, once. Not called for a null pointer. */
  void (*release)(struct dovetail_bytes output);
};

/* Gives the table. Returns null if the library cannot work at all. */
DOVETAIL_NATIVE_EXPORT const struct dovetail_native_table *dovetail_native_plugin(void);

#ifdef __cplusplus
}
#endif

#endif /* DOVETAIL_NATIVE_H */
