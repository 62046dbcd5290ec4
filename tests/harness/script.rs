//! Scripts for the model, written in a line. What they lack is written out in the format of `docs/rehearsal.md`.

/// A text in quotes, for TOML.
pub fn quoted(text: &str) -> String {
    // Every JSON string is a TOML string.
    serde_json::Value::from(text).to_string()
}

/// A response that answers with a text.
pub fn answer(text: &str) -> String {
    response(&format!(
        "{{ text = {}, phase = \"final_answer\" }}",
        quoted(text)
    ))
}

/// A response that calls `exec_command`.
pub fn command(call_id: &str, cmd: &str) -> String {
    call(
        call_id,
        "exec_command",
        &format!("{{ cmd = {} }}", quoted(cmd)),
    )
}

/// A response that calls a function tool; the arguments are a TOML value.
pub fn call(call_id: &str, tool: &str, arguments: &str) -> String {
    response(&format!(
        "{{ tool_call = {}, call_id = {}, arguments = {arguments} }}",
        quoted(tool),
        quoted(call_id)
    ))
}

/// A response that applies a patch.
pub fn patch(call_id: &str, input: &str) -> String {
    response(&format!(
        "{{ custom_call = \"apply_patch\", call_id = {}, input = {} }}",
        quoted(call_id),
        quoted(input)
    ))
}

/// A response of these actions, in TOML.
pub fn response(actions: &str) -> String {
    format!(
        "[[response]]\nactions = [\n{actions},\n{{ usage = {{ input_tokens = 100, output_tokens = 10 }} }},\n]\n"
    )
}

/// A response that is no stream: a status and a body of JSON.
pub fn status(code: u16, body: &str) -> String {
    format!(
        "[[response]]\nactions = [{{ status = {code}, body = {} }}]\n",
        quoted(body)
    )
}
