//! `tool_search`: finds tools that the model is not told of from the start.
//!
//! With many tool servers the list of tools alone fills a good part of each request. Where a model can search, it is
//! told which servers there are, and gets the tools it looks for with the answer to its search.

mod rank;

use std::sync::OnceLock;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use self::rank::Index;
use crate::ids::CallId;
use crate::item::{OutputPayload, ResponseItem};
use crate::tool::{CallContext, CallInput, Tool, ToolCall, ToolInput, ToolOutcome, ToolSpec};
use crate::verdict::Cleared;

/// The tool's name, also for hooks.
pub(crate) const NAME: &str = "tool_search";
/// How many tools are found where the model does not say.
const DEFAULT_LIMIT: usize = 8;
const DESCRIPTION: &str = "Finds tools of the deferred namespaces, which are not listed here. Say in a few words what the tool is to do; what is found can be called from then on.";

/// Tools of one server, of which the model knows that they are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeferredNamespace {
    /// Such as `mcp__notes`.
    pub name: String,
    /// What the tools are for.
    pub description: String,
}

/// The search.
pub(crate) struct ToolSearch {
    spec: ToolSpec,
    deferred: Vec<ToolSpec>,
    /// Made at the first search: most turns have none.
    index: OnceLock<Index>,
}

#[derive(Deserialize)]
struct Arguments {
    query: String,
    limit: Option<usize>,
}

impl ToolSearch {
    /// A search over tools that all have a namespace.
    pub(crate) fn new(deferred: Vec<ToolSpec>) -> Self {
        let parameters = json!({
            "type": "object",
            "properties": {
                "limit": { "type": "number", "description": format!("The most tools to find; {DEFAULT_LIMIT} by default.") },
                "query": { "type": "string", "description": "What to look for." },
            },
            "required": ["query"],
            "additionalProperties": false,
        });
        Self {
            spec: ToolSpec {
                name: NAME.to_owned(),
                namespace: None,
                description: DESCRIPTION.to_owned(),
                input: ToolInput::Search { parameters },
                parallel_safe: true,
            },
            deferred,
            index: OnceLock::new(),
        }
    }

    /// The namespaces, in the order of their first tools.
    pub(crate) fn namespaces(&self) -> Vec<DeferredNamespace> {
        let mut found: Vec<DeferredNamespace> = Vec::new();
        for name in self
            .deferred
            .iter()
            .filter_map(|spec| spec.namespace.as_ref())
        {
            if !found.iter().any(|known| known.name == *name) {
                found.push(DeferredNamespace {
                    name: name.clone(),
                    description: namespace_description(name),
                });
            }
        }
        found
    }

    fn find(&self, arguments: &Arguments) -> Vec<&ToolSpec> {
        let index = self
            .index
            .get_or_init(|| Index::new(self.deferred.iter().map(words_of)));
        let best = index.best(&arguments.query, arguments.limit.unwrap_or(DEFAULT_LIMIT));
        best.into_iter().map(|at| &self.deferred[at]).collect()
    }
}

#[async_trait]
impl Tool for ToolSearch {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    fn hook_name(&self) -> String {
        NAME.to_owned()
    }

    fn hook_input(&self, call: &ToolCall) -> Result<Value, String> {
        parse::<Value>(call)
    }

    fn rewrite(&self, call: ToolCall, input: Value) -> Result<ToolCall, String> {
        Ok(ToolCall {
            input: CallInput::Search(input.to_string()),
            ..call
        })
    }

    async fn run(&self, call: Cleared<ToolCall>, _: &CallContext) -> ToolOutcome {
        match parse::<Arguments>(call.get()) {
            Ok(arguments) => ToolOutcome::text(by_namespace(&self.find(&arguments)).to_string()),
            Err(text) => ToolOutcome::refused(text),
        }
    }
}

fn parse<'c, T: Deserialize<'c>>(call: &'c ToolCall) -> Result<T, String> {
    serde_json::from_str(call.input.text())
        .map_err(|error| format!("failed to parse tool_search arguments: {error}"))
}

/// What a namespace is for, for the model.
pub fn namespace_description(namespace: &str) -> String {
    let server = namespace.strip_prefix("mcp__").unwrap_or(namespace);
    format!("Tools of the `{server}` server.")
}

/// What a tool is found by: its name first, and twice, since that is what it is for in a word.
fn words_of(spec: &ToolSpec) -> String {
    let namespace = spec.namespace.as_deref().unwrap_or_default();
    let namespace = namespace.strip_prefix("mcp__").unwrap_or(namespace);
    let mut words = vec![spec.name.as_str(), &spec.name, namespace, &spec.description];
    if let ToolInput::Function { parameters } | ToolInput::Search { parameters } = &spec.input {
        let properties = parameters["properties"].as_object();
        for (name, property) in properties.into_iter().flatten() {
            words.push(name);
            words.extend(property["description"].as_str());
        }
    }
    words.join(" ")
}

/// The tools as a request would list them, the best namespace first.
fn by_namespace(found: &[&ToolSpec]) -> Value {
    let mut namespaces: Vec<(&str, Vec<Value>)> = Vec::new();
    for spec in found {
        let name = spec.namespace.as_deref().unwrap_or_default();
        let tool = json!({
            "type": "function",
            "name": spec.name,
            "description": spec.description,
            "strict": false,
            "defer_loading": true,
            "parameters": match &spec.input {
                ToolInput::Function { parameters } | ToolInput::Search { parameters } => parameters.clone(),
                ToolInput::Custom { .. } => json!({}),
            },
        });
        match namespaces.iter_mut().find(|(known, _)| *known == name) {
            Some((_, tools)) => tools.push(tool),
            None => namespaces.push((name, vec![tool])),
        }
    }
    namespaces
        .into_iter()
        .map(|(name, tools)| {
            json!({
                "type": "namespace",
                "name": name,
                "description": namespace_description(name),
                "tools": tools,
            })
        })
        .collect()
}

/// The search that an item asks the client for; services run their own themselves.
pub(crate) fn search_in(fields: &Map<String, Value>) -> Option<ToolCall> {
    let is_ours = ResponseItem::other_kind(fields) == "tool_search_call"
        && fields.get("execution").is_none_or(|by| by == "client");
    let call_id = fields.get("call_id").and_then(Value::as_str)?;
    let arguments = match fields.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        Some(arguments) => arguments.to_string(),
        None => String::new(),
    };
    is_ours.then(|| ToolCall {
        call_id: CallId::new(call_id),
        name: NAME.to_owned(),
        namespace: None,
        input: CallInput::Search(arguments),
    })
}

/// The item that answers a search. One that could not be made has found nothing: the item has no place for words.
pub(crate) fn search_output(call_id: &str, output: &OutputPayload) -> ResponseItem {
    let found = serde_json::from_str::<Vec<Value>>(&output.text());
    let item = json!({
        "type": "tool_search_output",
        // Filled in where items enter the history.
        "id": "",
        "call_id": call_id,
        "status": "completed",
        "execution": "client",
        "tools": found.unwrap_or_default(),
    });
    match item {
        Value::Object(fields) => ResponseItem::Other(fields),
        _ => ResponseItem::Other(Map::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(namespace: &str, name: &str, description: &str) -> ToolSpec {
        ToolSpec {
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
            description: description.to_owned(),
            input: ToolInput::Function {
                parameters: json!({ "type": "object", "properties": { "city": { "type": "string", "description": "Where." } } }),
            },
            parallel_safe: true,
        }
    }

    fn search() -> ToolSearch {
        ToolSearch::new(vec![
            spec("mcp__notes", "add", "Adds a note."),
            spec("mcp__sky", "weather", "Tells the weather."),
            spec("mcp__notes", "search", "Searches notes."),
        ])
    }

    fn found(query: &str, limit: Option<usize>) -> Vec<String> {
        let query = query.to_owned();
        let search = search();
        let specs = search.find(&Arguments { query, limit });
        specs.into_iter().map(|spec| spec.name.clone()).collect()
    }

    #[test]
    fn tools_are_found_by_names_words_servers_and_parameters() {
        assert_eq!(found("find a note", None), ["add", "search"]);
        assert_eq!(found("searching", None), ["search"]);
        assert_eq!(found("WEATHER tomorrow", None), ["weather"]);
        assert_eq!(found("sky", None), ["weather"]);
        assert_eq!(
            found("city", Some(2)),
            ["search", "add"],
            "short texts first"
        );
        assert_eq!(found("city", Some(0)), Vec::<String>::new());
        assert_eq!(found("mathematics", None), Vec::<String>::new());
        assert_eq!(found("", None), Vec::<String>::new());
    }

    #[test]
    fn what_is_found_is_listed_by_server() {
        let search = search();
        let both: Vec<&ToolSpec> = search.deferred.iter().collect();
        let listed = by_namespace(&both);
        let names: Vec<(&Value, usize)> = listed
            .as_array()
            .expect("a list")
            .iter()
            .map(|namespace| {
                (
                    &namespace["name"],
                    namespace["tools"].as_array().map_or(0, Vec::len),
                )
            })
            .collect();
        assert_eq!(names, [(&json!("mcp__notes"), 2), (&json!("mcp__sky"), 1)]);
        assert_eq!(listed[1]["description"], "Tools of the `sky` server.");
        assert_eq!(listed[1]["tools"][0]["defer_loading"], true);
    }

    #[test]
    fn arguments_come_as_an_object_or_as_its_text() {
        let call = |item: Value| {
            let fields = item.as_object().expect("an object").clone();
            search_in(&fields).map(|call| call.input)
        };
        let text = r#"{"query":"x"}"#;
        let item = |arguments: Value| json!({ "type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": arguments });
        let expected = Some(CallInput::Search(text.to_owned()));
        assert_eq!(call(item(json!({ "query": "x" }))), expected);
        assert_eq!(call(item(json!(text))), expected);
        let mut theirs = item(json!({}));
        theirs["execution"] = "server".into();
        assert_eq!(call(theirs), None);
        assert_eq!(call(json!({ "type": "tool_search_call" })), None);
    }
}
