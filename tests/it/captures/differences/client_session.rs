//! Differences of a client's session.

use super::compaction::{COUNTED, ESTIMATE};
use super::{Difference, NOT_OFFERED, ROLLOUT_LINES, WORDS, known};

const SESSION: &[&str] = &["client-session"];
/// What the client was told, and the rollouts, which have most of it too.
const BOTH: &[&str] = &["client-session", "client-session-rollouts"];

const SERVICE: &str = "service names `CODEX_WORK_LOCAL`";
const CALL_ID: &str = "`x-codex-inference-call-id`";
const RECEIVED: &str = "what tool servers learn";
const SUMS: &str = "the sums of what was used";
const CLOSED: &str = "a message that an interrupt";
const STEERED: &str = "something said to a running turn";
const CHANGES: &str = "`workspaces.*.has_changes`";

pub(super) const KNOWN: &[Difference] = &[
    known(
        SESSION,
        "requests.*.headers.x-codex-inference-call-id",
        CALL_ID,
        "nobody was seen to read it",
    ),
    known(
        SESSION,
        "requests.*.headers.originator",
        SERVICE,
        "older clients say them",
    ),
    known(
        BOTH,
        "events[thread started].thread.originator",
        SERVICE,
        "older clients say them",
    ),
    known(
        SESSION,
        "requests.9.headers.x-codex-turn-metadata.forked_from_ordinal_exclusive",
        ROLLOUT_LINES,
        "fewer lines in the file",
    ),
    known(
        SESSION,
        "requests.*.body.input[message developer].content[input_text <tools>].text",
        NOT_OFFERED,
        "no sub-agents",
    ),
    known(
        SESSION,
        "requests.*.body.tools[function list_mcp_resources]",
        NOT_OFFERED,
        "no resources",
    ),
    known(
        SESSION,
        "requests.*.body.tools[function list_mcp_resource_templates]",
        NOT_OFFERED,
        "no resources",
    ),
    known(
        SESSION,
        "requests.*.body.tools[function read_mcp_resource]",
        NOT_OFFERED,
        "no resources",
    ),
    known(
        SESSION,
        "requests.*.body.input[message user].content[input_text <turn_aborted>].text",
        WORDS,
        "our own words",
    ),
    known(
        BOTH,
        "events[usage <turn>].last.*",
        STEERED,
        "an answer of which nothing was counted, in the place of one that was cut short",
    ),
    known(
        BOTH,
        "events[usage <turn 2>]",
        SUMS,
        "the answer was interrupted",
    ),
    known(
        SESSION,
        "events[item completed agentMessage]",
        CLOSED,
        "nothing is left open",
    ),
    known(
        BOTH,
        "events[usage <turn 4>].last.totalTokens",
        ESTIMATE,
        "estimated by each, of its own texts",
    ),
    known(
        BOTH,
        "events[usage <turn 4>].total.*",
        COUNTED,
        "they were used",
    ),
    known(
        BOTH,
        "events[usage <turn 5>].total.*",
        COUNTED,
        "they were used",
    ),
    known(
        BOTH,
        "events[usage <turn 6>].total.*",
        COUNTED,
        "they were used",
    ),
    known(BOTH, "events[usage <turn 5>]", SUMS, "of the fork"),
    known(
        SESSION,
        "tool_call._meta.x-codex-turn-metadata.workspaces.*.has_changes",
        CHANGES,
        "costs a `git status`",
    ),
    known(
        SESSION,
        "tool_call._meta.codex_bridge_mcp_call_id",
        RECEIVED,
        "the call has an id",
    ),
    known(
        SESSION,
        "tool_call._meta.itemId",
        RECEIVED,
        "the call has an id",
    ),
    known(
        SESSION,
        "tool_call._meta.progressToken",
        RECEIVED,
        "no progress is taken",
    ),
    known(
        SESSION,
        "tool_call._meta.sessionId",
        RECEIVED,
        "it is in the metadata",
    ),
    known(
        SESSION,
        "tool_call._meta.threadId",
        RECEIVED,
        "it is in the metadata",
    ),
    known(
        SESSION,
        "tool_call._meta.windowId",
        RECEIVED,
        "windows are the host's",
    ),
];
