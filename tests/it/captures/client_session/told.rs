//! What a client is told, in one form: by the captured server's notifications, by our events, and by the lines of rollouts.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

/// Fields of items that all three have.
const FIELDS: &[&str] = &[
    "type",
    "id",
    "content",
    "text",
    "phase",
    "server",
    "tool",
    "arguments",
    "result",
    "error",
    "command",
    "aggregatedOutput",
    "exitCode",
    "status",
];

/// Notifications that tell of the server, the connection or the account, and not of a turn.
const OF_SERVER: &[&str] = &[
    "configWarning",
    "remoteControl/status/changed",
    "mcpServer/startupStatus/updated",
    "account/rateLimits/updated",
    "thread/status/changed",
    "thread/readState/changed",
    "serverRequest/resolved",
    "deprecationNotice",
];

/// What the captured server told.
pub(super) fn by_server(messages: &[Value]) -> Vec<Value> {
    let messages = messages.iter().filter_map(|message| message.get("<"));
    messages
        .filter_map(|message| notified(message["method"].as_str()?, &message["params"]))
        .collect()
}

fn notified(method: &str, params: &Value) -> Option<Value> {
    let turn = &params["turnId"];
    let item = || item(params["item"].clone());
    Some(match method {
        "thread/started" => thread(&params["thread"]),
        "turn/started" => json!({ "type": "turn started", "turn": params["turn"]["id"] }),
        "item/started" => json!({ "type": "item started", "turn": turn, "item": item() }),
        "item/completed" => json!({ "type": "item completed", "turn": turn, "item": item() }),
        "item/agentMessage/delta" => {
            json!({ "type": "delta", "turn": turn, "id": params["itemId"], "delta": params["delta"] })
        }
        "item/commandExecution/requestApproval" => json!({
            "type": "approval",
            "turn": turn,
            "id": params["itemId"],
            "command": params["command"],
            "cwd": params["cwd"],
            "reason": params["reason"],
        }),
        "thread/tokenUsage/updated" => {
            let usage = &params["tokenUsage"];
            json!({ "type": "usage", "name": turn, "total": usage["total"], "last": usage["last"] })
        }
        "turn/completed" => {
            let turn = &params["turn"];
            json!({ "type": "turn ended", "turn": turn["id"], "status": turn["status"] })
        }
        other => {
            assert!(OF_SERVER.contains(&other), "`{other}` tells something");
            return None;
        }
    })
}

fn thread(thread: &Value) -> Value {
    let names = [
        "id",
        "sessionId",
        "forkedFromId",
        "modelProvider",
        "cwd",
        "originator",
        "source",
        "threadSource",
    ];
    let fields: Map<String, Value> = names
        .into_iter()
        .map(|name| (name.to_owned(), thread[name].clone()))
        .collect();
    json!({ "type": "thread started", "thread": fields })
}

/// An item with the fields that are compared. Those without a value are left out, and an output that is empty is none.
fn item(item: Value) -> Value {
    let field = |name: &str| {
        let value = match (name, &item[name]) {
            // Whoever shows a user's message gives it its id.
            ("id", _) if item["type"] == "userMessage" => return None,
            ("result", result) if !result.is_null() => json!({ "content": result["content"] }),
            (_, value) => value.clone(),
        };
        let empty = value.is_null() || (name == "aggregatedOutput" && value == "");
        (!empty).then(|| (name.to_owned(), value))
    };
    let fields = FIELDS.iter().filter_map(|name| field(name));
    fields.collect::<Map<String, Value>>().into()
}

/// What our events tell, as a server would pass it on.
pub(super) fn by_events(events: &[Value]) -> Vec<Value> {
    let mut teller = Teller::default();
    for event in events {
        teller.take(event);
    }
    teller.release();
    teller.told
}

/// Tells what events mean.
#[derive(Default)]
struct Teller {
    told: Vec<Value>,
    turn: Value,
    /// The message that is coming in.
    message: Value,
    begun: HashSet<String>,
    /// What was used follows the work of the answer that it was used for.
    usage: Option<Value>,
}

impl Teller {
    fn take(&mut self, event: &Value) {
        let name = event["event"].as_str().unwrap();
        if !name.starts_with("tool.") && name != "approval.requested" {
            self.release();
        }
        match name {
            "thread.started" => {
                let told = json!({
                    "id": event["thread_id"],
                    "sessionId": event["session_id"],
                    "forkedFromId": event["forked_from"],
                    "modelProvider": event["provider"],
                    "cwd": event["cwd"],
                    "originator": event["originator"],
                    "source": event["source"],
                    "threadSource": event["thread_source"],
                });
                self.told.push(thread(&told));
            }
            "turn.started" => {
                self.turn = event["turn_id"].clone();
                self.say(json!({ "type": "turn started" }));
            }
            "prompt.submitted" => {
                let text = json!({ "type": "text", "text": event["text"], "text_elements": [] });
                self.whole(json!({ "type": "userMessage", "content": [text] }));
            }
            "message.started" => {
                self.message = event["item_id"].clone();
                self.begun.extend(self.message.as_str().map(str::to_owned));
                let item = json!({ "type": "agentMessage", "id": self.message, "text": "" });
                self.started(item);
            }
            "message.delta" => {
                let (id, delta) = (&self.message, &event["delta"]);
                let told = json!({ "type": "delta", "turn": self.turn, "id": id, "delta": delta });
                self.told.push(told);
            }
            "message.completed" => self.message(event),
            "message.abandoned" => {
                let (id, text) = (&event["item_id"], &event["text"]);
                self.completed(json!({ "type": "agentMessage", "id": id, "text": text }));
            }
            "tool.started" => self.started(work(event)),
            "tool.finished" => self.completed(work(event)),
            "approval.requested" => self.say(json!({
                "type": "approval",
                "id": event["call_id"],
                "command": words(&event["command"]),
                "cwd": event["cwd"],
                "reason": event["reason"],
            })),
            "request.completed" if event["purpose"] == "compaction" => {}
            "request.completed" => {
                self.usage = Some(usage(&self.turn, &event["total"], &event["usage"]));
            }
            "compaction.started" => {
                self.started(json!({ "type": "contextCompaction", "id": event["item_id"] }));
            }
            "compaction.completed" => {
                let last = json!({ "total_tokens": event["tokens_after"] });
                self.told.push(usage(&self.turn, &event["total"], &last));
                self.completed(json!({ "type": "contextCompaction", "id": event["item_id"] }));
            }
            "turn.completed" => self.say(json!({ "type": "turn ended", "status": "completed" })),
            "turn.aborted" => self.say(json!({ "type": "turn ended", "status": event["reason"] })),
            // Answers to what the client said.
            "accepted" => {}
            other => self.say(json!({ "type": other, "event": event })),
        }
    }

    /// A message, which may be there at once.
    fn message(&mut self, event: &Value) {
        let (id, text, phase) = (&event["item_id"], &event["text"], &event["phase"]);
        let item = json!({ "type": "agentMessage", "id": id, "text": text, "phase": phase });
        if self.begun.contains(id.as_str().unwrap_or_default()) {
            self.completed(item);
        } else {
            self.whole(item);
        }
    }

    fn whole(&mut self, item: Value) {
        self.started(item.clone());
        self.completed(item);
    }

    fn started(&mut self, of: Value) {
        self.say(json!({ "type": "item started", "item": item(of) }));
    }

    fn completed(&mut self, of: Value) {
        self.say(json!({ "type": "item completed", "item": item(of) }));
    }

    /// Tells something of the turn, which is named behind the type.
    fn say(&mut self, told: Value) {
        let Value::Object(fields) = told else {
            panic!("{told} is no object")
        };
        let mut fields = fields.into_iter();
        let of_turn = fields
            .next()
            .into_iter()
            .chain([("turn".to_owned(), self.turn.clone())]);
        let fields: Map<String, Value> = of_turn.chain(fields).collect();
        self.told.push(fields.into());
    }

    fn release(&mut self) {
        self.told.extend(self.usage.take());
    }
}

/// Work of a tool, with its call for an id.
fn work(event: &Value) -> Value {
    let item = &event["item"];
    let kind = match item["type"].as_str().unwrap() {
        "command_execution" => "commandExecution",
        "mcp_tool_call" => "mcpToolCall",
        other => other,
    };
    let status = match item["status"].as_str().unwrap() {
        "in_progress" => "inProgress",
        other => other,
    };
    json!({
        "type": kind,
        "id": event["call_id"],
        "server": item["server"],
        "tool": item["tool"],
        "arguments": item["arguments"],
        "result": item["result"],
        "error": item["error"],
        "command": item["command"],
        "aggregatedOutput": item["aggregated_output"],
        "exitCode": item["exit_code"],
        "status": status,
    })
}

/// A command as people see it.
fn words(command: &Value) -> String {
    let words = command.as_array().unwrap().iter();
    let words: Vec<String> = words
        .map(|word| match word.as_str().unwrap() {
            word if word.contains(' ') => format!("'{word}'"),
            word => word.to_owned(),
        })
        .collect();
    words.join(" ")
}

fn usage(turn: &Value, total: &Value, last: &Value) -> Value {
    let tokens = |usage: &Value| {
        let names = [
            ("totalTokens", "total_tokens"),
            ("inputTokens", "input_tokens"),
            ("cachedInputTokens", "cached_input_tokens"),
            ("cacheWriteInputTokens", "cache_write_input_tokens"),
            ("outputTokens", "output_tokens"),
            ("reasoningOutputTokens", "reasoning_output_tokens"),
        ];
        let count = |name: &str| usage[name].as_u64().unwrap_or(0);
        let counts = names.map(|(theirs, ours)| (theirs.to_owned(), count(ours).into()));
        Value::Object(counts.into_iter().collect())
    };
    json!({ "type": "usage", "name": turn, "total": tokens(total), "last": tokens(last) })
}

/// What of it is kept on disk: what has ended.
pub(super) fn kept(mut told: Vec<Value>) -> Vec<Value> {
    told.retain(|told| {
        !["item started", "delta", "approval"].contains(&told["type"].as_str().unwrap())
    });
    told
}

/// What the lines of a rollout tell.
pub(super) fn by_rollout(lines: &[Value]) -> Vec<Value> {
    let mut turn = Value::Null;
    let mut told = Vec::new();
    for line in lines {
        let payload = &line["payload"];
        if line["type"] == "session_meta" {
            told.push(thread(&json!({
                "id": payload["id"],
                "sessionId": payload["session_id"],
                "forkedFromId": payload["forked_from_id"],
                "modelProvider": payload["model_provider"],
                "cwd": payload["cwd"],
                "originator": payload["originator"],
                "source": payload["source"],
                "threadSource": payload["thread_source"],
            })));
        }
        if line["type"] != "event_msg" {
            continue;
        }
        told.push(match payload["type"].as_str().unwrap() {
            "task_started" => {
                turn = payload["turn_id"].clone();
                json!({ "type": "turn started", "turn": turn })
            }
            "item_completed" => {
                let item = item(recorded(&payload["item"]));
                json!({ "type": "item completed", "turn": payload["turn_id"], "item": item })
            }
            "token_count" => {
                let info = &payload["info"];
                usage(&turn, &info["total_token_usage"], &info["last_token_usage"])
            }
            "task_complete" => {
                json!({ "type": "turn ended", "turn": payload["turn_id"], "status": "completed" })
            }
            "turn_aborted" => {
                json!({ "type": "turn ended", "turn": payload["turn_id"], "status": payload["reason"] })
            }
            "thread_settings_applied" => continue,
            other => json!({ "type": other, "payload": payload }),
        });
    }
    told
}

/// An item of a rollout in the form that clients see.
fn recorded(item: &Value) -> Value {
    let id = &item["id"];
    match item["type"].as_str().unwrap() {
        "UserMessage" => json!({ "type": "userMessage", "content": item["content"] }),
        "AgentMessage" => json!({
            "type": "agentMessage",
            "id": id,
            "text": item["content"][0]["text"],
            "phase": item["phase"],
        }),
        "McpToolCall" => json!({
            "type": "mcpToolCall",
            "id": id,
            "server": item["server"],
            "tool": item["tool"],
            "arguments": item["arguments"],
            "result": item["result"],
            "error": item["error"],
            "status": item["status"],
        }),
        "CommandExecution" => json!({
            "type": "commandExecution",
            "id": id,
            "command": words(&item["command"]),
            "aggregatedOutput": item["aggregated_output"],
            "exitCode": item["exit_code"],
            "status": item["status"],
        }),
        "ContextCompaction" => json!({ "type": "contextCompaction", "id": id }),
        other => panic!("`{other}` is not translated"),
    }
}
