//! What to do about a request that failed.

use dovetail_core::model::{FailureStage, ModelError};
use dovetail_core::plugin::FailureKind;
use dovetail_http::{CERTIFICATE_VARIABLE, HOSTS_VARIABLE};

use super::known::{Source, Speaks};
use super::model_list;

/// What is known around a request.
#[derive(Debug, Clone)]
pub(super) struct Around {
    /// The provider's id.
    pub(super) id: String,
    /// Where it is.
    pub(super) base_url: String,
    /// Where that is written down.
    pub(super) place: String,
    pub(super) speaks: Speaks,
    pub(super) model: String,
    /// What the service lists.
    pub(super) models: Vec<String>,
    /// Where the credential comes from; none where none is sent.
    pub(super) source: Option<Source>,
    /// Whether the shared login is used.
    pub(super) login: bool,
    /// Whether it is on this machine.
    pub(super) local: bool,
}

/// What to do, the likeliest first.
pub(super) fn of(error: &ModelError, around: &Around) -> Vec<String> {
    if is_about_the_model(error, around) {
        return other_model(around);
    }
    match (error.stage, error.kind) {
        (FailureStage::Auth, _) => no_credential(around),
        (FailureStage::Status(401), _) | (_, FailureKind::Unauthorized) => refused(around),
        (FailureStage::Status(403), _) => vec![
            "the key is known and is not enough: look at its permissions, its project and its region"
                .to_owned(),
            explain(around),
        ],
        (_, FailureKind::QuotaExceeded | FailureKind::UsageNotIncluded)
        | (FailureStage::Status(402), _) => {
            vec!["look at the plan and the billing of this account".to_owned()]
        }
        (FailureStage::Status(407), _) => vec![
            "the proxy asks who you are: HTTP_PROXY=http://user:password@host:port".to_owned(),
        ],
        (_, FailureKind::UsageLimitReached | FailureKind::RateLimited)
        | (FailureStage::Status(429), _) => {
            vec!["wait, or ask whoever runs the service for a higher limit".to_owned()]
        }
        (FailureStage::Status(404 | 405 | 501), _) => vec![
            format!(
                "is `{}` right, which {} says? It often ends in /v1",
                around.base_url, around.place
            ),
            find_out(around),
        ],
        (FailureStage::Status(300..=399), _) => vec![format!(
            "put the address that it points to into base_url, in {}",
            around.place
        )],
        (FailureStage::Status(400..=499), _) => {
            let setting = setting_for(&error.message, around);
            vec![setting.unwrap_or_else(|| find_out(around))]
        }
        (_, FailureKind::Overloaded | FailureKind::ServerError)
        | (FailureStage::Status(500..=599), _) => vec![match around.local {
            true => "look at the server's own log: is the model loaded, is there memory for it?".to_owned(),
            false => "the service has a fault of its own: try again later".to_owned(),
        }],
        (FailureStage::Stream | FailureStage::Event, _) => not_a_stream(error, around),
        (FailureStage::Exchange, _) if error.message.contains("CertificateRequired") => {
            vec![format!(
                "the server wants a certificate of yours: {CERTIFICATE_VARIABLE}, and its host in {HOSTS_VARIABLE}"
            )]
        }
        (FailureStage::Exchange, _) if around.base_url.starts_with("http://") => vec![
            format!(
                "does it speak TLS? Then base_url begins with https://; it is written in {}",
                around.place
            ),
            "it could be reached a moment ago: try again".to_owned(),
        ],
        (FailureStage::Connect | FailureStage::Exchange | FailureStage::Upgrade, _) => {
            vec!["it could be reached a moment ago: try again".to_owned()]
        }
        (FailureStage::Status(_), _) => vec![find_out(around)],
    }
}

/// Whether the service says that it has no such model. Each says it in its own words.
pub(super) fn names_the_model(error: &ModelError, model: &str) -> bool {
    let asked = matches!(
        error.stage,
        FailureStage::Status(400 | 403 | 404 | 422 | 500 | 503) | FailureStage::Event
    );
    let words = own_words(&error.message).to_ascii_lowercase();
    let tells = [
        "not found",
        "not exist",
        "unknown",
        "no such",
        "invalid model",
        "not supported",
        "unsupported",
        "not available",
        "no available",
        "not loaded",
        "not a valid",
        "not served",
        "not allowed",
        "no model",
    ];
    asked
        && (words.contains("model")
            || !model.is_empty() && words.contains(&model.to_ascii_lowercase()))
        && tells.iter().any(|tell| words.contains(tell))
}

/// The server's part of a message: neither the status, which has words of its own, nor the address.
fn own_words(message: &str) -> &str {
    let words = match message.strip_prefix("unexpected status ") {
        Some(rest) => rest.split_once(": ").map_or(rest, |(_, words)| words),
        None => message,
    };
    words.split(", url: ").next().unwrap_or(words)
}

fn is_about_the_model(error: &ModelError, around: &Around) -> bool {
    names_the_model(error, &around.model)
}

fn other_model(around: &Around) -> Vec<String> {
    let known = around.models.contains(&around.model);
    if known {
        return vec![format!(
            "`{}` is listed, and cannot be used like this: try another one with -m",
            around.model
        )];
    }
    match around.models.is_empty() {
        true => vec!["name a model that this service has: -m MODEL".to_owned()],
        false => vec![format!(
            "name a model that it has, with -m: {}",
            model_list::some(&around.models)
        )],
    }
}

/// There is no credential to send.
fn no_credential(around: &Around) -> Vec<String> {
    let mut fix = Vec::new();
    match &around.source {
        Some(source) if source.text.starts_with("the variable ") => {
            let name = source.text.trim_start_matches("the variable ");
            fix.push(format!("export {name}=… where dovetail is started"));
        }
        Some(source) if source.text.starts_with("the command ") => fix.push(format!(
            "run {} as {} has it: it has to print a token and end with 0",
            source.text.trim_start_matches("the command "),
            around.place
        )),
        Some(_) | None if around.login => fix.push("dovetail login".to_owned()),
        Some(_) | None => {}
    }
    fix.push(explain(around));
    fix
}

/// The service does not take the credential, or wants one.
fn refused(around: &Around) -> Vec<String> {
    let mut fix = Vec::new();
    match &around.source {
        None => fix.push(format!(
            "it wants a key: add env_key = \"NAME\" to [model_providers.{}], with the variable that holds it",
            around.id
        )),
        Some(source) if around.login && !source.text.starts_with("the ") => {
            fix.push("dovetail login".to_owned());
        }
        Some(source) => fix.push(format!("look at {}: is it for this service, and whole?", source.text)),
    }
    fix.push(explain(around));
    fix
}

/// The key of the table that a service refuses a part of the request without.
fn setting_for(message: &str, around: &Around) -> Option<String> {
    let what = match around.speaks {
        Speaks::Chat if message.contains("stream_options") => {
            "stream_options = false, which leaves out what it refuses"
        }
        Speaks::Messages if message.contains("max_tokens") => {
            "max_output_tokens = N, the longest answer that this model may give"
        }
        Speaks::Messages if message.contains("thinking") => {
            "thinking = \"adaptive\" or \"budget\", whichever this model takes"
        }
        Speaks::Responses | Speaks::Chat | Speaks::Messages | Speaks::Own => return None,
    };
    Some(format!("add to [model_providers.{}]: {what}", around.id))
}

fn not_a_stream(error: &ModelError, around: &Around) -> Vec<String> {
    if error.message.contains("instead of an event stream") {
        return vec![
            format!(
                "something else than a model answers at {}: a login page, a proxy, another path?",
                around.base_url
            ),
            find_out(around),
        ];
    }
    if error.message.contains("idle timeout") {
        return vec!["the server took the request and says nothing: look at its log".to_owned()];
    }
    vec![
        "turns are always streamed: can this server stream, and does a proxy in between let streams through?"
            .to_owned(),
        find_out(around),
    ]
}

fn explain(around: &Around) -> String {
    format!("dovetail auth explain {}", around.id)
}

fn find_out(around: &Around) -> String {
    match around.speaks {
        Speaks::Own => format!("dovetail plugin inspect {}", around.id),
        Speaks::Responses | Speaks::Chat | Speaks::Messages => format!(
            "does it speak {}? Find out: dovetail provider add {} --dry-run",
            around.speaks.name(),
            around.base_url
        ),
    }
}

/// What to do about a model that answers and does not call its tool.
pub(super) fn for_tools(around: &Around) -> Vec<String> {
    let mut fix = vec![format!(
        "turns need tool calls: try another model with -m{}",
        match model_list::others(&around.models, &around.model) {
            none if none.is_empty() => String::new(),
            others => format!(", such as {}", model_list::some(&others)),
        }
    )];
    if around.local {
        fix.push(
            "some servers call tools only if told to: llama-server --jinja, vllm serve --enable-auto-tool-choice"
                .to_owned(),
        );
    }
    fix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(models: &[&str]) -> Around {
        Around {
            id: "acme".to_owned(),
            base_url: "https://a.example/v1".to_owned(),
            place: "config.toml:3".to_owned(),
            speaks: Speaks::Chat,
            model: "m-1".to_owned(),
            models: models.iter().map(|&model| model.to_owned()).collect(),
            source: None,
            login: false,
            local: false,
        }
    }

    fn error(stage: FailureStage, message: &str) -> ModelError {
        ModelError::new(stage, message.to_owned())
    }

    #[test]
    fn a_model_that_is_not_there_is_told_from_a_path_that_is_not() {
        let not_found = FailureStage::Status(404);
        for words in [
            "unexpected status 404 Not Found: model 'm-1' not found",
            "unexpected status 404 Not Found: The model `m-1` does not exist or you do not have access to it.",
            "unexpected status 404 Not Found: m-1 is not available",
        ] {
            assert!(names_the_model(&error(not_found, words), "m-1"), "{words}");
        }
        let path = "unexpected status 404 Not Found: Unknown error, url: https://models.example/m-1/responses";
        assert!(!names_the_model(&error(not_found, path), "m-1"));
        assert!(!names_the_model(
            &error(FailureStage::Status(401), "model not found"),
            "m-1"
        ));
    }

    #[test]
    fn other_models_are_named_where_they_are_known() {
        let error = error(FailureStage::Status(404), "model 'm-1' not found");
        assert_eq!(
            of(&error, &around(&["a", "b"])),
            ["name a model that it has, with -m: a, b"]
        );
        assert_eq!(
            of(&error, &around(&[])),
            ["name a model that this service has: -m MODEL"]
        );
        assert_eq!(
            of(&error, &around(&["m-1"])),
            ["`m-1` is listed, and cannot be used like this: try another one with -m"]
        );
    }

    #[test]
    fn what_stands_in_the_way_is_told_from_the_service() {
        let plain = Around {
            base_url: "http://a.example/v1".to_owned(),
            ..around(&[])
        };
        let reset = error(
            FailureStage::Exchange,
            "no answer: Connection reset by peer",
        );
        assert_eq!(
            of(&reset, &plain)[0],
            "does it speak TLS? Then base_url begins with https://; it is written in config.toml:3"
        );
        assert_eq!(
            of(&reset, &around(&[])),
            ["it could be reached a moment ago: try again"]
        );
        let proxy = error(FailureStage::Status(407), "who are you");
        assert_eq!(
            of(&proxy, &plain),
            ["the proxy asks who you are: HTTP_PROXY=http://user:password@host:port"]
        );
    }

    #[test]
    fn the_setting_that_a_service_needs_is_named() {
        let fix = |speaks: Speaks, message: &str| {
            let around = Around {
                speaks,
                ..around(&[])
            };
            of(&error(FailureStage::Status(422), message), &around).remove(0)
        };
        assert_eq!(
            fix(
                Speaks::Chat,
                "stream_options: Extra inputs are not permitted"
            ),
            "add to [model_providers.acme]: stream_options = false, which leaves out what it refuses"
        );
        assert_eq!(
            fix(Speaks::Messages, "max_tokens: 32000 > 8192"),
            "add to [model_providers.acme]: max_output_tokens = N, the longest answer that this model may give"
        );
        assert_eq!(
            fix(Speaks::Messages, "max_thing: wrong"),
            "does it speak Messages? Find out: dovetail provider add https://a.example/v1 --dry-run"
        );
    }

    #[test]
    fn another_model_for_tools_is_one_that_was_not_tried_and_talks() {
        let fix = |models: &[&str]| for_tools(&around(models)).remove(0);
        assert_eq!(
            fix(&["text-embed", "m-1", "m-2"]),
            "turns need tool calls: try another model with -m, such as m-2"
        );
        assert_eq!(
            fix(&["m-1"]),
            "turns need tool calls: try another model with -m"
        );
    }

    #[test]
    fn a_refusal_without_a_key_asks_for_one() {
        let error = error(FailureStage::Status(401), "who are you");
        assert_eq!(
            of(&error, &around(&[])),
            [
                "it wants a key: add env_key = \"NAME\" to [model_providers.acme], with the variable that holds it",
                "dovetail auth explain acme",
            ]
        );
    }
}
