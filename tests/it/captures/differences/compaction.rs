//! Differences of conversations that are compacted.

use super::{Difference, NOT_OFFERED, ROLLOUT_LINES, SKILLS, WORDS, known};

const BOTH: &[&str] = &["remote-compaction", "local-compaction"];
const REMOTE: &[&str] = &["remote-compaction"];
const LOCAL: &[&str] = &["local-compaction"];

pub(super) const COUNTED: &str = "tokens of a compaction by the service";
pub(super) const ESTIMATE: &str = "tokens of a conversation right after";

pub(super) const KNOWN: &[Difference] = &[
    known(
        BOTH,
        "rollout[compacted].payload.replacement_history[*content[*<permissions instructions>].text",
        WORDS,
        "our own words",
    ),
    known(
        BOTH,
        "rollout[compacted].payload.replacement_history[*content[*<skills_instructions>]",
        SKILLS,
        "no skills",
    ),
    known(
        BOTH,
        "rollout[compacted].payload.replacement_history[*content[*<tools>]",
        NOT_OFFERED,
        "no deferred tools",
    ),
    known(
        REMOTE,
        "requests.*.content_item_kinds[tools.deferred_namespaces]",
        NOT_OFFERED,
        "no deferred tools",
    ),
    known(
        BOTH,
        "rollout*.internal_chat_message_metadata_passthrough.content_item_metadata",
        ROLLOUT_LINES,
        "provenance",
    ),
    known(
        BOTH,
        "rollout[compacted].payload.replacement_history_metadata",
        ROLLOUT_LINES,
        "bookkeeping of theirs",
    ),
    known(
        BOTH,
        "rollout[compacted].payload.retained_context",
        ROLLOUT_LINES,
        "bookkeeping of theirs",
    ),
    known(
        BOTH,
        "rollout[compacted].payload.latest_token_usage_record",
        ROLLOUT_LINES,
        "the line before it says the same",
    ),
    known(
        BOTH,
        "rollout[compacted].payload.resume_metadata",
        ROLLOUT_LINES,
        "bookkeeping of theirs",
    ),
    known(
        BOTH,
        "rollout[event_msg token_count].payload.info.last_token_usage.total_tokens",
        ESTIMATE,
        "estimated by each, of its own texts",
    ),
    known(
        REMOTE,
        "rollout[event_msg token_count].payload.info.total_token_usage.*",
        COUNTED,
        "they were used",
    ),
    known(
        LOCAL,
        "requests.2.body.input[message user].content[input_text].text",
        WORDS,
        "our own prompt",
    ),
    known(
        LOCAL,
        "requests.3.body.input[message user].content[input_text].text",
        WORDS,
        "our own words before the summary",
    ),
    known(
        LOCAL,
        "rollout[compacted].payload.message",
        WORDS,
        "our own words before the summary",
    ),
    known(
        LOCAL,
        "rollout[compacted].payload.replacement_history[message user].content[input_text].text",
        WORDS,
        "our own words before the summary",
    ),
    known(
        LOCAL,
        "rollout[event_msg token_count]",
        ROLLOUT_LINES,
        "counted once, when it is shorter",
    ),
    known(
        LOCAL,
        "rollout[response_item message assistant]",
        ROLLOUT_LINES,
        "the summary is in the line of the compaction",
    ),
];
