//! A tool server: lists and searches the notes in a directory that it may read.

mod notes;

use std::path::Path;

use dovetail_plugin_api::tools::{Call, CallResult, Tool};
use dovetail_plugin_api::{Error, Tools, export_tools};
use serde::Deserialize;
use serde_json::json;

/// Where the grant mounts the notes.
const MOUNT: &str = "/notes";

/// Holds nothing: the notes may change between calls.
#[derive(Default)]
struct Notes;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    query: String,
}

impl Tools for Notes {
    fn list_tools(&mut self) -> Result<Vec<Tool>, Error> {
        let search = json!({
            "type": "object",
            "properties": { "query": { "type": "string", "description": "Words to look for, in any case" } },
            "required": ["query"],
            "additionalProperties": false,
        });
        let nothing = json!({ "type": "object", "properties": {}, "additionalProperties": false });
        Ok(vec![
            Tool::new(
                "search",
                "Finds lines in the project's notes that hold all words of a query",
                search,
            )
            .read_only()
            .parallel_safe(),
            Tool::new("list", "Lists the project's notes", nothing)
                .read_only()
                .parallel_safe(),
        ])
    }

    fn call_tool(&mut self, call: Call) -> Result<CallResult, Error> {
        answer(Path::new(MOUNT), &call)
    }
}

fn answer(directory: &Path, call: &Call) -> Result<CallResult, Error> {
    match call.name.as_str() {
        "search" => {
            let Search { query } = call.arguments()?;
            let hits = notes::search(directory, &query)?;
            Ok(CallResult::text(if hits.is_empty() {
                format!("no note mentions `{query}`")
            } else {
                hits.join("\n")
            }))
        }
        "list" => Ok(CallResult::text(notes::names(directory)?.join("\n"))),
        other => Err(Error::invalid(format!("there is no tool `{other}`"))),
    }
}

export_tools!(Notes);

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &str, arguments: &str) -> Result<CallResult, Error> {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(
            directory.path().join("style.md"),
            "Greetings\nA greeting ends with a comma.\n",
        )
        .expect("written");
        std::fs::write(directory.path().join("b.md"), "nothing here\n").expect("written");
        let call = Call {
            call_id: "c1".to_owned(),
            name: name.to_owned(),
            arguments_json: arguments.to_owned(),
            turn_metadata_json: "{}".to_owned(),
        };
        answer(directory.path(), &call)
    }

    #[test]
    fn a_hit_names_file_and_line() {
        let found = ask("search", r#"{"query":"COMMA greeting"}"#);
        assert_eq!(
            found,
            Ok(CallResult::text(
                "style.md:2: A greeting ends with a comma."
            ))
        );
        let nothing = ask("search", r#"{"query":"semicolon"}"#);
        assert_eq!(
            nothing,
            Ok(CallResult::text("no note mentions `semicolon`"))
        );
    }

    #[test]
    fn the_notes_are_listed_in_order() {
        assert_eq!(ask("list", "{}"), Ok(CallResult::text("b.md\nstyle.md")));
    }

    #[test]
    fn mistakes_are_told_to_the_model() {
        let error = ask("search", r#"{"q":"x"}"#).expect_err("a wrong argument");
        assert!(
            error
                .to_string()
                .starts_with("arguments of `search`: unknown field `q`"),
            "{error}"
        );
        assert_eq!(
            ask("delete", "{}"),
            Err(Error::invalid("there is no tool `delete`"))
        );
    }
}
