// A hook that denies commands which destroy things.

#include <string.h>

#include "../json.h"
#include "hook.h"

void exports_dovetail_plugin_hooks_subscriptions(exports_dovetail_plugin_hooks_list_subscription_t *ret) {
    ret->ptr = calloc(1, sizeof *ret->ptr);
    ret->len = 1;
    hook_string_dup(&ret->ptr->event, "PreToolUse");
    hook_string_dup(&ret->ptr->matcher, "Bash");
    ret->ptr->mode = EXPORTS_DOVETAIL_PLUGIN_HOOKS_MODE_GATE;
}

static bool is_one_of(const char *word, const char *const *words) {
    for (; *words; words++) {
        if (strcmp(word, *words) == 0) return true;
    }
    return false;
}

// Words that may stand before a program: `FOO=1`, `sudo`, `then`, …
static bool is_prefix(const char *word) {
    static const char *const words[] = {"sudo", "env", "exec", "command", "xargs", "then", "do", "else", "{", NULL};
    return strchr(word, '=') || is_one_of(word, words);
}

// `-rf`, `-R`, `--force`, …
static bool is_forced(const char *word) {
    if (strncmp(word, "--", 2) == 0) return strcmp(word, "--recursive") == 0 || strcmp(word, "--force") == 0;
    return word[0] == '-' && strpbrk(word, "rRf");
}

// Whether one command removes recursively or by force, or erases a disk.
static bool erases(char *command) {
    char *rest = NULL;
    char *word = strtok_r(command, " \t", &rest);
    while (word && is_prefix(word)) word = strtok_r(NULL, " \t", &rest);
    if (!word) return false;
    char *slash = strrchr(word, '/');
    const char *program = slash ? slash + 1 : word;
    if (strcmp(program, "rm") == 0) {
        while ((word = strtok_r(NULL, " \t", &rest))) {
            if (is_forced(word)) return true;
        }
        return false;
    }
    return strcmp(program, "shred") == 0 || strcmp(program, "wipefs") == 0 || strncmp(program, "mkfs", 4) == 0;
}

// Whether one of the commands in a shell line does. A hook like this catches accidents. It is no sandbox: a shell has
// endless ways to say `rm`.
static bool is_destructive(char *line) {
    char *rest = NULL;
    for (char *command = strtok_r(line, ";|&\n()`\"'", &rest); command; command = strtok_r(NULL, ";|&\n()`\"'", &rest)) {
        if (erases(command)) return true;
    }
    return false;
}

bool exports_dovetail_plugin_hooks_handle(exports_dovetail_plugin_hooks_event_t *event,
                                          exports_dovetail_plugin_hooks_outcome_t *ret,
                                          exports_dovetail_plugin_hooks_error_t *err) {
    memset(ret, 0, sizeof *ret);
    hook_string_t *input = &event->tool.val.input_json;
    char *command = event->tool.is_some ? json_get((char *)input->ptr, input->len, "command") : NULL;
    if (!command) {
        err->tag = DOVETAIL_PLUGIN_TYPES_ERROR_INVALID;
        hook_string_dup(&err->val.invalid, "a shell call without a command");
    } else if (is_destructive(command)) {
        ret->decision.tag = EXPORTS_DOVETAIL_PLUGIN_HOOKS_DECISION_DENY;
        hook_string_dup(&ret->decision.val.deny, "destructive commands need a person");
    }
    bool answered = command != NULL;
    free(command);
    exports_dovetail_plugin_hooks_event_free(event);
    return answered;
}
