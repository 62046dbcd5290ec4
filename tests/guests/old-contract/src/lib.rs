//! A guest built against the frozen contract 0.1, without the SDK: what it exchanges with the host is what was released.

#![cfg(target_family = "wasm")]

/// The hooks of the frozen contract.
mod hooks {
    wit_bindgen::generate!({ path: "../../../wit/frozen/0.1", world: "hooks-plugin", generate_all });

    use exports::dovetail::plugin::hooks::{
        Decision, Error, Event, Guest, Mode, Outcome, Subscription,
    };

    struct Old;

    impl Guest for Old {
        fn subscriptions() -> Vec<Subscription> {
            vec![Subscription {
                event: "PreToolUse".to_owned(),
                matcher: "Bash".to_owned(),
                mode: Mode::Gate,
            }]
        }

        fn handle(event: Event) -> Result<Outcome, Error> {
            Ok(Outcome {
                decision: Decision::Deny(format!("old guest saw {}", event.name)),
                context: None,
                message: None,
            })
        }
    }

    export!(Old);
}

/// The tools of the frozen contract.
mod tools {
    wit_bindgen::generate!({ path: "../../../wit/frozen/0.1", world: "tools-plugin", generate_all });

    use exports::dovetail::plugin::tools::{
        Call, CallResult, Content, Error, Guest, PromptInfo, ResourceInfo, Tool,
    };

    struct Old;

    impl Guest for Old {
        fn list_tools() -> Result<Vec<Tool>, Error> {
            Ok(vec![Tool {
                name: "echo".to_owned(),
                title: None,
                description: "Says what it was told".to_owned(),
                input_schema_json: "{\"type\":\"object\"}".to_owned(),
                output_schema_json: None,
                parallel_safe: true,
                read_only: true,
            }])
        }

        fn call_tool(call: Call) -> Result<CallResult, Error> {
            Ok(CallResult {
                content: vec![Content::Text(call.arguments_json)],
                structured_json: None,
                is_error: false,
            })
        }

        fn list_resources() -> Result<Vec<ResourceInfo>, Error> {
            Ok(Vec::new())
        }

        fn read_resource(uri: String) -> Result<Vec<Content>, Error> {
            Err(Error::Invalid(uri))
        }

        fn list_prompts() -> Result<Vec<PromptInfo>, Error> {
            Ok(Vec::new())
        }

        fn get_prompt(name: String, _arguments_json: String) -> Result<String, Error> {
            Err(Error::Invalid(name))
        }
    }

    export!(Old);
}

/// The sink of the frozen contract.
mod sink {
    wit_bindgen::generate!({ path: "../../../wit/frozen/0.1", world: "sink-plugin", generate_all });

    use exports::dovetail::plugin::sink::{Ack, Error, Event, FieldClasses, Guest, Subscription};

    struct Old;

    impl Guest for Old {
        fn subscriptions() -> Subscription {
            Subscription {
                kinds: vec!["*".to_owned()],
                classes: FieldClasses::BASIC,
            }
        }

        fn open(_config_json: String) -> Result<(), Error> {
            Ok(())
        }

        fn deliver(batch: Vec<Event>) -> Result<Ack, Error> {
            Ok(Ack::Reject(
                batch.into_iter().map(|event| event.id).collect(),
            ))
        }

        fn close() -> Result<(), Error> {
            Ok(())
        }
    }

    export!(Old);
}
