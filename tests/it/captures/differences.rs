//! The differences that are meant, in one place. Each names a row of `docs/differences.md`, which tells users, and the
//! captures it shows in. What is not listed fails the comparison, and so does an entry that no longer shows.

mod client_session;
mod compaction;

use dovetail_tests::Change;

/// A difference that is meant.
struct Difference {
    /// The captures it shows in.
    captures: &'static [&'static str],
    /// Where: `*` stands for any characters.
    place: &'static str,
    /// The row of the document that tells of it: the beginning of its first cell.
    row: &'static str,
    /// Why it is so.
    why: &'static str,
}

/// Captures with requests.
const REQUESTS: &[&str] = &[
    "basic-turn",
    "many-calls",
    "fallback",
    "websocket",
    "resume",
    "lite-model",
    "fork",
    "review",
    "tool-search",
    "remote-compaction",
    "local-compaction",
    "client-session",
];
/// Those of models that take tools as a list.
const LISTED: &[&str] = &[
    "basic-turn",
    "many-calls",
    "fallback",
    "websocket",
    "resume",
    "fork",
    "review",
    "tool-search",
    "remote-compaction",
    "local-compaction",
    "client-session",
];
/// Those of them that are not of a reviewer, which is offered less.
const WHOLE_LISTS: &[&str] = &[
    "basic-turn",
    "many-calls",
    "fallback",
    "websocket",
    "resume",
    "fork",
    "tool-search",
    "remote-compaction",
    "local-compaction",
    "client-session",
];
/// Those of `gpt-5.5`.
const KNOWN_MODEL: &[&str] = &[
    "many-calls",
    "fallback",
    "websocket",
    "resume",
    "fork",
    "review",
    "tool-search",
    "remote-compaction",
    "local-compaction",
    "client-session",
];
/// Those of them in which agents can be started, and nothing else is to be searched for.
const WITH_AGENTS: &[&str] = &[
    "many-calls",
    "fallback",
    "websocket",
    "resume",
    "fork",
    "remote-compaction",
    "local-compaction",
];
/// Those of a provider that gets the items' metadata.
const WITH_METADATA: &[&str] = &[
    "fallback",
    "websocket",
    "resume",
    "fork",
    "review",
    "tool-search",
    "remote-compaction",
    "client-session",
];
/// Those with an upgrade.
const UPGRADED: &[&str] = &["fallback", "websocket"];
/// Threads of theirs, of which both send the same.
const THEIR_THREADS: &[&str] = &[
    "a_thread_of_theirs_goes_on_here",
    "forks_of_either_go_on_with_both",
];
/// Captures of threads that go on.
const CONTINUED: &[&str] = &["resume", "fork", "remote-compaction", "local-compaction"];
/// Captures with lines of turns of `gpt-5.5`.
const OF_KNOWN_MODEL: &[&str] = &[
    "resume",
    "fork",
    "review",
    "remote-compaction",
    "local-compaction",
];
/// Those whose first turn is in their rollouts, with `gpt-5.5`.
const WHOLE: &[&str] = &["resume", "remote-compaction", "local-compaction"];
/// Captures with a command in their rollouts.
const COMMANDS: &[&str] = &["basic-turn", "remote-compaction", "local-compaction"];
/// Captures with rollouts, forks included.
const RECORDED: &[&str] = &[
    "basic-turn",
    "resume",
    "fork",
    "review",
    "review-parent",
    "remote-compaction",
    "local-compaction",
];
/// Captures with whole rollouts of conversations with a model.
const ROLLOUTS: &[&str] = &[
    "basic-turn",
    "resume",
    "review",
    "remote-compaction",
    "local-compaction",
];

const WORDS: &str = "base instructions, tool descriptions, context texts";
const SKILLS: &str = "`<skills_instructions>`";
const NOT_OFFERED: &str = "`tools`";
const PLAN: &str = "`update_plan`";
const FALLBACK: &str = "no WebSocket can be had";
const DEFLATE: &str = "upgrades to WebSocket";
const LITE: &str = "models that take tools as an item";
const FIELDS: &str = "fields of answers that no client uses";
const ROLLOUT_LINES: &str = "rollout lines";
const SETTINGS: &str = "`effort` and `summary` in `turn_context`";

const KNOWN: &[Difference] = &[
    known(
        REQUESTS,
        "requests.*.body.input[message developer].content[input_text].text",
        WORDS,
        "our own words",
    ),
    known(
        LISTED,
        "requests.*.body.tools[*.description",
        WORDS,
        "our own words",
    ),
    known(
        KNOWN_MODEL,
        "requests.*.body.tools[custom apply_patch].format.definition",
        WORDS,
        "our own grammar",
    ),
    known(
        REQUESTS,
        "requests.*.body.input[message developer].content[input_text <skills_instructions>]",
        SKILLS,
        "no skills",
    ),
    known(
        WITH_METADATA,
        "requests.*.content_item_kinds[host_skills.instructions]",
        SKILLS,
        "no skills",
    ),
    known(
        WITH_AGENTS,
        "requests.*.body.input[message developer].content[input_text <tools>]",
        NOT_OFFERED,
        "no deferred tools",
    ),
    known(
        &["fallback", "websocket", "resume", "fork"],
        "requests.*.content_item_kinds[tools.deferred_namespaces]",
        NOT_OFFERED,
        "no deferred tools",
    ),
    known(
        LISTED,
        "requests.*.body.tools[function request_user_input]",
        NOT_OFFERED,
        "nobody can be asked",
    ),
    known(
        WHOLE_LISTS,
        "requests.*.body.tools[function get_goal]",
        NOT_OFFERED,
        "no goals",
    ),
    known(
        WHOLE_LISTS,
        "requests.*.body.tools[function create_goal]",
        NOT_OFFERED,
        "no goals",
    ),
    known(
        WHOLE_LISTS,
        "requests.*.body.tools[function update_goal]",
        NOT_OFFERED,
        "no goals",
    ),
    known(
        WITH_AGENTS,
        "requests.*.body.tools[tool_search]",
        NOT_OFFERED,
        "no deferred tools",
    ),
    known(
        &["basic-turn"],
        "requests.*.body.tools[namespace multi_agent_v1]",
        NOT_OFFERED,
        "no sub-agents",
    ),
    known(
        &["basic-turn"],
        "requests.*.body.tools[function apply_patch]",
        "`apply_patch` for models",
        "local servers",
    ),
    known(
        WHOLE_LISTS,
        "requests.*.body.tools[function update_plan]",
        PLAN,
        "people like to see the plan",
    ),
    known(
        &["many-calls"],
        "requests.2.body.input[function_call_output call_h].output",
        PLAN,
        "it is offered",
    ),
    known(
        &["many-calls"],
        "events.others[item.* todo_list]",
        PLAN,
        "it is offered",
    ),
    known(
        &["many-calls", "client-session"],
        "requests.*.headers.x-codex-turn-metadata.workspaces.*.has_changes",
        "`workspaces.*.has_changes`",
        "costs a `git status`",
    ),
    known(
        &["fallback"],
        "events[error]",
        FALLBACK,
        "one refusal is enough",
    ),
    known(
        UPGRADED,
        "requests.1.headers.sec-websocket-extensions",
        DEFLATE,
        "not offered",
    ),
    known(
        UPGRADED,
        "requests.1.headers.accept",
        DEFLATE,
        "of the HTTP client",
    ),
    known(
        &[
            "resume",
            "fork",
            "lite-model",
            "review",
            "tool-search",
            "remote-compaction",
            "client-session",
        ],
        "requests.*.body.client_metadata.mcp_attribution",
        "`mcp_attribution`",
        "goes with the metadata of items",
    ),
    known(
        &["lite-model"],
        "requests.1.body.input[additional_tools developer].tools[*",
        LITE,
        "no script interpreter",
    ),
    known(
        &["lite-model"],
        "requests.1.body.input[message developer]",
        LITE,
        "no sub-agents",
    ),
    known(
        &["lite-model"],
        "requests.1.body.input[message developer].content[input_text <collaboration_mode>]",
        LITE,
        "no modes",
    ),
    known(
        &["lite-model"],
        "requests.1.body.input[message *].internal_chat_message_metadata_passthrough*",
        LITE,
        "less of it is kept",
    ),
    known(
        &["fork"],
        "rollout[session_meta].payload.multi_agent_version",
        NOT_OFFERED,
        "no sub-agents",
    ),
    known(
        &["fork"],
        "rollout[session_meta].payload.*ordinal_exclusive",
        ROLLOUT_LINES,
        "a line less in each file",
    ),
    known(
        &["fork"],
        "requests.1.headers.x-codex-turn-metadata.forked_from_ordinal_exclusive",
        ROLLOUT_LINES,
        "a line less in each file",
    ),
    known(
        &["fork"],
        "requests.1.headers.x-codex-turn-metadata.context_window_id",
        ROLLOUT_LINES,
        "the first line names the window that the fork is in",
    ),
    known(
        &["fork"],
        "rollout[session_meta].payload.history_base.end_byte_offset",
        WORDS,
        "other texts are not equally long",
    ),
    known(THEIR_THREADS, "[*].status", FIELDS, "nobody reads them"),
    known(
        THEIR_THREADS,
        "[message assistant].content[output_text].annotations",
        FIELDS,
        "nobody reads them",
    ),
    known(
        &["review"],
        "requests.1.body.input[message user].content[input_text].text",
        WORDS,
        "our own words",
    ),
    known(
        &["review", "review-parent"],
        "rollout[event_msg item_completed UserMessage].payload.item.content[text].text",
        WORDS,
        "our own words",
    ),
    known(
        &["review"],
        "rollout[response_item message user].payload.content[input_text].text",
        WORDS,
        "our own words",
    ),
    known(
        &["review-parent"],
        "rollout[response_item message user].payload.content[input_text <user_action>].text",
        WORDS,
        "our own words",
    ),
    known(
        &["review", "review-parent"],
        "rollout[session_meta].payload.git",
        ROLLOUT_LINES,
        "nobody reads it",
    ),
    known(
        RECORDED,
        "rollout[session_meta].payload.cli_version",
        "`cli_version` in rollouts",
        "our own version",
    ),
    known(
        RECORDED,
        "rollout[session_meta].payload.base_instructions.text",
        WORDS,
        "our own words",
    ),
    known(
        ROLLOUTS,
        "rollout[response_item message developer].payload.content[*<permissions instructions>].text",
        WORDS,
        "our own words",
    ),
    known(
        ROLLOUTS,
        "rollout[response_item message developer].payload.content[*<skills_instructions>]",
        SKILLS,
        "no skills",
    ),
    known(
        ROLLOUTS,
        "rollout*.content_item_kinds[host_skills.instructions]",
        SKILLS,
        "no skills",
    ),
    known(
        WHOLE,
        "rollout[response_item message developer].payload.content[*<tools>]",
        NOT_OFFERED,
        "no deferred tools",
    ),
    known(
        WHOLE,
        "rollout*.content_item_kinds[tools.deferred_namespaces]",
        NOT_OFFERED,
        "no deferred tools",
    ),
    known(
        &["basic-turn", "resume", "fork", "review"],
        "rollout*.internal_chat_message_metadata_passthrough.content_item_metadata",
        ROLLOUT_LINES,
        "provenance",
    ),
    known(
        RECORDED,
        "rollout[response_item *].metadata",
        ROLLOUT_LINES,
        "bookkeeping of theirs",
    ),
    known(
        ROLLOUTS,
        "rollout[world_state]",
        ROLLOUT_LINES,
        "the context itself is compared instead",
    ),
    known(
        COMMANDS,
        "rollout[event_msg item_completed CommandExecution].payload.item.process_id",
        ROLLOUT_LINES,
        "gone by then",
    ),
    known(
        OF_KNOWN_MODEL,
        "rollout[turn_context].payload.comp_hash",
        ROLLOUT_LINES,
        "bookkeeping of theirs",
    ),
    known(
        CONTINUED,
        "rollout[event_msg thread_settings_applied]",
        "`thread_settings_applied` on resume",
        "with the turn that it is for",
    ),
    known(
        &["basic-turn"],
        "rollout[turn_context].payload.summary",
        SETTINGS,
        "what holds, whoever chose it",
    ),
    known(
        OF_KNOWN_MODEL,
        "rollout[turn_context].payload.effort",
        SETTINGS,
        "what holds, whoever chose it",
    ),
    known(
        OF_KNOWN_MODEL,
        "rollout[turn_context].payload.collaboration_mode.settings.reasoning_effort",
        SETTINGS,
        "what holds, whoever chose it",
    ),
    known(
        &[
            "resume",
            "review",
            "review-parent",
            "remote-compaction",
            "local-compaction",
        ],
        "rollout[event_msg thread_settings_applied].payload.thread_settings.*.reasoning_effort",
        SETTINGS,
        "what holds, whoever chose it",
    ),
    known(
        &["basic-turn"],
        "rollout[event_msg token_count].payload.rate_limits.primary",
        "rate limits of `token_count`",
        "the last that were reported",
    ),
];

fn all() -> impl Iterator<Item = &'static Difference> {
    KNOWN
        .iter()
        .chain(compaction::KNOWN)
        .chain(client_session::KNOWN)
}

const fn known(
    captures: &'static [&'static str],
    place: &'static str,
    row: &'static str,
    why: &'static str,
) -> Difference {
    Difference {
        captures,
        place,
        row,
        why,
    }
}

/// Fails with everything that is not as listed.
#[track_caller]
pub(crate) fn check(capture: &str, found: &[Change]) {
    let listed: Vec<&Difference> = all()
        .filter(|known| known.captures.contains(&capture))
        .collect();
    let surprises = found.iter().filter(|change| {
        !listed
            .iter()
            .any(|known| matches(known.place, &change.place))
    });
    let surprises = surprises.map(|change| {
        let side = |value: &Option<serde_json::Value>| {
            value.as_ref().map_or("nothing".to_owned(), shortened)
        };
        format!(
            "not listed: {}\n  there: {}\n  here:  {}",
            change.place,
            side(&change.theirs),
            side(&change.ours)
        )
    });
    let gone = listed.iter().filter(|known| {
        !found
            .iter()
            .any(|change| matches(known.place, &change.place))
    });
    let gone = gone.map(|known| format!("no longer shows: {} ({})", known.place, known.why));
    let wrong: Vec<String> = surprises.chain(gone).collect();
    assert!(wrong.is_empty(), "{capture}:\n{}", wrong.join("\n"));
}

fn shortened(value: &serde_json::Value) -> String {
    value.to_string().chars().take(200).collect()
}

/// Whether a place is one that a pattern of plain text and `*` means.
fn matches(pattern: &str, place: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == place,
        Some((start, rest)) => place.strip_prefix(start).is_some_and(|place| {
            (0..=place.len())
                .filter(|at| place.is_char_boundary(*at))
                .any(|at| matches(rest, &place[at..]))
        }),
    }
}

#[test]
fn users_are_told_of_each_difference() {
    let document = include_str!("../../../docs/differences.md");
    let rows: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .collect();
    let untold: Vec<&str> = all()
        .map(|known| known.row)
        .filter(|row| !rows.iter().any(|known| known.starts_with(row)))
        .collect();
    assert_eq!(
        untold,
        Vec::<&str>::new(),
        "rows that are not in docs/differences.md"
    );
}

#[test]
fn a_star_stands_for_any_characters() {
    for (pattern, place, expected) in [
        ("a.b", "a.b", true),
        ("a.*", "a.b.c", true),
        ("*.c", "a.b.c", true),
        ("a.*.c", "a.c", false),
        ("a", "ab", false),
    ] {
        assert_eq!(matches(pattern, place), expected, "{pattern} {place}");
    }
}
