//! The tools of a request as other APIs know tools: a flat list of functions.

use serde_json::{Map, Value, json};

/// The namespace of tools that have none of their own, for models that take their tools as input.
const PLAIN_NAMESPACE: &str = "functions";

/// The longest name that the common APIs take.
const LONGEST_NAME: usize = 64;

/// The one parameter of a tool that takes plain text.
const INPUT: &str = "input";

/// A tool as a function. Tools in namespaces and tools that take plain text are turned into functions too, and calls of
/// them back: see [`ToolNames`].
#[derive(Debug, Clone, PartialEq)]
pub struct OfferedTool {
    /// At most 64 letters, digits, `_` and `-`; no two tools of a request share one.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The JSON Schema of its arguments, an object.
    pub parameters: Value,
    origin: Origin,
}

/// What the request calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    name: String,
    namespace: Option<String>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Function,
    /// Takes plain text, such as a patch.
    Custom,
    /// Searches for more tools.
    Search,
}

/// The tools of one request, under names that every API takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolNames(Vec<OfferedTool>);

impl ToolNames {
    /// The tools that a Responses request offers, those in its input among them. Tools that the service would have to
    /// run itself are left out.
    pub fn read(request: &Value) -> Self {
        let mut names = Self::default();
        let items = request["input"].as_array().into_iter().flatten();
        let in_input = items.filter(|item| {
            matches!(
                item["type"].as_str(),
                Some("additional_tools" | "tool_search_output")
            )
        });
        for list in std::iter::once(&request["tools"]).chain(in_input.map(|item| &item["tools"])) {
            names.add_all(list, None);
        }
        names
    }

    /// The tools, in the order of the request.
    pub fn tools(&self) -> &[OfferedTool] {
        &self.0
    }

    /// The name under which an earlier call of a tool is told, whether the tool is still offered or not.
    pub fn name_of(&self, namespace: Option<&str>, name: &str) -> String {
        let namespace = own_namespace(namespace);
        let known = self
            .0
            .iter()
            .find(|tool| tool.origin.name == name && tool.origin.namespace.as_deref() == namespace);
        known.map_or_else(|| flat_name(namespace, name), |tool| tool.name.clone())
    }

    /// The item of a call. `name` is what the model said; a name that is not offered is passed on, and the model will be
    /// told. Without a name it is no call that can be made, which the host tells the user.
    pub(super) fn call(&self, call_id: &str, name: Option<&str>, arguments: &str) -> Value {
        let unwrapped = object_in_text(arguments);
        let arguments = match arguments.trim().is_empty() {
            true => "{}",
            false => unwrapped.as_deref().unwrap_or(arguments),
        };
        let Some(name) = name else {
            return json!({ "type": "function_call", "arguments": arguments, "call_id": call_id });
        };
        let Some(OfferedTool { origin, .. }) = self.find(name) else {
            return function_call(call_id, name, None, arguments);
        };
        match origin.kind {
            Kind::Function => function_call(
                call_id,
                &origin.name,
                origin.namespace.as_deref(),
                arguments,
            ),
            Kind::Custom => json!({
                "type": "custom_tool_call",
                "status": "completed",
                "call_id": call_id,
                "name": origin.name,
                "input": plain_input(arguments),
            }),
            Kind::Search => json!({
                "type": "tool_search_call",
                "call_id": call_id,
                "status": "completed",
                "execution": "client",
                "arguments": arguments_object(arguments),
            }),
        }
    }

    fn find(&self, name: &str) -> Option<&OfferedTool> {
        let named = |name: &str| self.0.iter().find(|tool| tool.name == name);
        // Open models leak pieces of their own notation into names.
        let bare = name.split("<|").next().unwrap_or(name).trim();
        let plain = bare.strip_prefix("functions.").unwrap_or(bare);
        named(name).or_else(|| named(plain))
    }

    fn add_all(&mut self, list: &Value, namespace: Option<&str>) {
        for tool in list.as_array().into_iter().flatten() {
            self.add(tool, namespace);
        }
    }

    fn add(&mut self, tool: &Value, namespace: Option<&str>) {
        let text = |key: &str| tool[key].as_str().unwrap_or_default();
        let (kind, name, parameters) = match text("type") {
            "namespace" if namespace.is_none() => {
                return self.add_all(&tool["tools"], Some(text("name")));
            }
            "function" => (Kind::Function, text("name"), tool["parameters"].clone()),
            "custom" => (Kind::Custom, text("name"), input_schema()),
            "tool_search" => (Kind::Search, "tool_search", tool["parameters"].clone()),
            _ => return,
        };
        let origin = Origin {
            name: name.to_owned(),
            namespace: own_namespace(namespace).map(str::to_owned),
            kind,
        };
        if name.is_empty() || self.0.iter().any(|known| known.origin == origin) {
            return;
        }
        let mut description = text("description").to_owned();
        if let Some(grammar) = tool["format"]["definition"].as_str() {
            description.push_str("\nThe input follows this grammar:\n");
            description.push_str(grammar);
        }
        self.0.push(OfferedTool {
            name: self.free_name(flat_name(origin.namespace.as_deref(), name)),
            description,
            parameters: if parameters.is_object() {
                parameters
            } else {
                json!({ "type": "object", "properties": {} })
            },
            origin,
        });
    }

    fn free_name(&self, wanted: String) -> String {
        let taken = |name: &str| self.0.iter().any(|tool| tool.name == name);
        let mut name = wanted.clone();
        let mut number = 2;
        while taken(&name) {
            let end = format!("_{number}");
            name = format!(
                "{}{end}",
                &wanted[..wanted.len().min(LONGEST_NAME - end.len())]
            );
            number += 1;
        }
        name
    }
}

fn own_namespace(namespace: Option<&str>) -> Option<&str> {
    namespace.filter(|namespace| !namespace.is_empty() && *namespace != PLAIN_NAMESPACE)
}

fn function_call(call_id: &str, name: &str, namespace: Option<&str>, arguments: &str) -> Value {
    let mut item = json!({ "type": "function_call", "name": name });
    if let Some(namespace) = namespace {
        item["namespace"] = json!(namespace);
    }
    item["arguments"] = json!(arguments);
    item["call_id"] = json!(call_id);
    item
}

/// `mcp__notes` and `search` are `mcp__notes__search`. The same for the same names, always: models remember.
fn flat_name(namespace: Option<&str>, name: &str) -> String {
    let whole = match namespace {
        Some(namespace) => format!("{}__{name}", namespace.trim_end_matches("__")),
        None => name.to_owned(),
    };
    let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let flat: String = whole
        .chars()
        .map(|c| if usable(c) { c } else { '_' })
        .collect();
    if flat.len() <= LONGEST_NAME {
        return flat;
    }
    // What is cut off must not make two names the same.
    let end = format!("_{:08x}", fnv1a(&whole));
    format!("{}{end}", &flat[..LONGEST_NAME - end.len()])
}

fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

fn input_schema() -> Value {
    json!({
        "type": "object",
        "properties": { INPUT: { "type": "string", "description": "The whole input, as plain text." } },
        "required": [INPUT],
        "additionalProperties": false,
    })
}

/// The arguments under which a tool that takes plain text was called.
pub(super) fn input_arguments(input: &str) -> String {
    json!({ INPUT: input }).to_string()
}

/// The plain text in the arguments of such a call: models also call the parameter something else, or write the text
/// without any JSON around it.
fn plain_input(arguments: &str) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(fields)) => {
            let only = || fields.values().next().filter(|_| fields.len() == 1);
            let text = fields.get(INPUT).or_else(only).and_then(Value::as_str);
            text.map_or_else(|| arguments.to_owned(), str::to_owned)
        }
        Ok(Value::String(text)) => text,
        Ok(_) | Err(_) => arguments.to_owned(),
    }
}

/// The object in arguments that some servers write down twice: as a JSON text with the object in it.
fn object_in_text(arguments: &str) -> Option<String> {
    if !arguments.trim_start().starts_with('"') {
        return None;
    }
    // What is no such text is left as it is.
    let text: String = serde_json::from_str(arguments).ok()?;
    let is_object = serde_json::from_str::<Map<String, Value>>(&text).is_ok();
    is_object.then_some(text)
}

/// Arguments as an object. What is none is told to the service as one: it would refuse every further request otherwise.
pub(super) fn arguments_object(arguments: &str) -> Map<String, Value> {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) if arguments.trim().is_empty() => Map::new(),
        Ok(_) | Err(_) => Map::from_iter([("invalid_arguments".to_owned(), json!(arguments))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tools: Value) -> ToolNames {
        ToolNames::read(&json!({ "tools": tools }))
    }

    fn offered(names: &ToolNames) -> Vec<&str> {
        names
            .tools()
            .iter()
            .map(|tool| tool.name.as_str())
            .collect()
    }

    #[test]
    fn namespaces_and_plain_text_become_functions_and_calls_go_back() {
        let names = names(json!([
            { "type": "function", "name": "exec_command", "parameters": { "type": "object" } },
            { "type": "custom", "name": "apply_patch", "format": { "definition": "start: x" } },
            { "type": "namespace", "name": "mcp__notes", "tools": [{ "type": "function", "name": "search" }] },
            { "type": "tool_search", "parameters": {} },
            { "type": "web_search" },
        ]));
        assert_eq!(
            offered(&names),
            [
                "exec_command",
                "apply_patch",
                "mcp__notes__search",
                "tool_search"
            ]
        );
        assert!(names.tools()[1].description.ends_with("start: x"));
        assert_eq!(
            names.call("c", Some("mcp__notes__search"), ""),
            json!({ "type": "function_call", "name": "search", "namespace": "mcp__notes", "arguments": "{}", "call_id": "c" })
        );
        assert_eq!(
            names.call("c", Some("apply_patch"), r#"{"input":"*** Begin"}"#)["input"],
            "*** Begin"
        );
        assert_eq!(
            names.call("c", Some("tool_search"), r#"{"query":"x"}"#)["arguments"],
            json!({ "query": "x" })
        );
        assert_eq!(
            names.name_of(Some("mcp__notes"), "search"),
            "mcp__notes__search"
        );
        assert_eq!(names.name_of(None, "gone"), "gone");
    }

    #[test]
    fn names_that_leak_notation_are_understood_and_unknown_ones_passed_on() {
        let names = names(json!([{ "type": "function", "name": "exec_command" }]));
        for said in [
            "functions.exec_command",
            "exec_command<|channel|>commentary",
        ] {
            assert_eq!(names.call("c", Some(said), "{}")["name"], "exec_command");
        }
        assert_eq!(names.call("c", Some("nope"), "{}")["name"], "nope");
        assert_eq!(names.call("c", None, "{}").get("name"), None);
    }

    #[test]
    fn long_and_odd_names_stay_apart() {
        let long = "x".repeat(80);
        let names = names(json!([
            { "type": "function", "name": format!("{long}1") },
            { "type": "function", "name": format!("{long}2") },
            { "type": "function", "name": "a.b" },
            { "type": "function", "name": "a b" },
        ]));
        let mut all = offered(&names);
        assert!(all.iter().all(|name| name.len() <= LONGEST_NAME));
        assert_eq!(all[2..], ["a_b", "a_b_2"]);
        all.dedup();
        assert_eq!(all.len(), 4);
        assert_eq!(names.call("c", Some("a_b_2"), "{}")["name"], "a b");
    }

    #[test]
    fn plain_text_is_found_however_the_model_wraps_it() {
        for arguments in [r#"{"input":"x"}"#, r#"{"patch":"x"}"#, r#""x""#, "x"] {
            assert_eq!(plain_input(arguments), "x", "{arguments}");
        }
        assert_eq!(plain_input(r#"{"a":"x","b":"y"}"#), r#"{"a":"x","b":"y"}"#);
    }

    #[test]
    fn arguments_that_are_written_down_twice_are_read_twice() {
        let names = names(json!([{ "type": "function", "name": "f" }]));
        let arguments = |given: &str| names.call("c", Some("f"), given)["arguments"].clone();
        assert_eq!(arguments(r#""{\"a\":1}""#), r#"{"a":1}"#);
        for other in [r#""a""#, r#""{""#, r#"{"a":"{}"}"#] {
            assert_eq!(arguments(other), other);
        }
    }

    #[test]
    fn arguments_that_are_no_object_are_told_as_one() {
        assert_eq!(arguments_object(" "), Map::new());
        assert_eq!(
            Value::Object(arguments_object("{\"a")),
            json!({ "invalid_arguments": "{\"a" })
        );
    }
}
