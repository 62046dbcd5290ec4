//! `provider add`: what it finds out, and what it writes.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::api::{Api, Reply, answer, listing, not_found, spoken};
use super::{SECRET, lab, tells_no_secret, told};

/// What the provider's table is after it was added.
fn table(text: &str, id: &str) -> Value {
    let parsed: toml_value::Table = toml_value::parse(text);
    parsed.get(id)
}

/// Just enough of TOML: the lines of one table.
mod toml_value {
    use serde_json::{Map, Value};

    pub(super) struct Table(String);

    pub(super) fn parse(text: &str) -> Table {
        Table(text.to_owned())
    }

    impl Table {
        pub(super) fn get(&self, id: &str) -> Value {
            let head = format!("[model_providers.{id}]\n");
            let (_, rest) = self.0.split_once(&head).expect("the table is there");
            let block = rest.split("\n[").next().unwrap_or_default();
            let pair = |line: &str| {
                let (key, value) = line.split_once(" = ")?;
                Some((key.to_owned(), Value::from(value.trim_matches('"'))))
            };
            Value::Object(block.lines().filter_map(pair).collect::<Map<_, _>>())
        }
    }
}

#[tokio::test]
async fn what_a_server_speaks_is_found_out_and_written() {
    for (wire, word) in [
        ("responses", None),
        ("chat", Some("chat")),
        ("messages", Some("messages")),
    ] {
        let server = Api::start(move |request| {
            let key = match wire {
                "messages" => request.header("x-api-key") == Some(SECRET),
                _ => request.header("authorization") == Some(&format!("Bearer {SECRET}")),
            };
            match key {
                true => spoken(wire, &["text-embedding-1", "m-1", "m-2"], request),
                false => Reply::Json(401, json!({ "error": { "message": "who are you" } })),
            }
        })
        .await;
        let lab = lab("");
        let ran = lab
            .run(&[
                "provider",
                "add",
                &server.url(""),
                "--id",
                "vendor",
                "--env-key",
                "VENDOR_KEY",
                "--yes",
                "--json",
            ])
            .await
            .expect_code(0);
        let told = told(&lab, &ran);
        assert_eq!(
            told["found"],
            json!({
                "wire": wire, "base_url": "http://127.0.0.1:<port>/v1", "models": ["text-embedding-1", "m-1", "m-2"],
                "model": "m-1", "streaming": true, "tools": true,
            }),
            "{told:#}"
        );
        let text = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
        let mut expected = json!({
            "name": server.url("").trim_start_matches("http://"), "base_url": server.url("/v1"), "env_key": "VENDOR_KEY",
        });
        if let Some(word) = word {
            expected["wire_api"] = json!(word);
        }
        assert_eq!(table(&text, "vendor"), expected);
        assert!(!text.contains(SECRET));

        // What was written is what a turn uses.
        let turn = lab
            .exec(&["-c", "model_provider=vendor", "-m", "m-1", "hello"])
            .await;
        assert_eq!(turn.expect_code(0).stdout, "ready\n", "{wire}");
    }
}

#[tokio::test]
async fn the_whole_of_what_was_found_is_told_to_programs() {
    let server = Api::speaking("chat", &["m-1"]).await;
    let lab = lab("");
    let ran = lab
        .run(&[
            "provider",
            "add",
            &server.url("/v1/chat/completions"),
            "--dry-run",
            "--json",
        ])
        .await
        .expect_code(0);
    let port = server.url("").rsplit(':').next().unwrap().to_owned();
    let id = format!("local-{port}");
    let expected = json!({
        "id": id,
        "written": false,
        "path": "/home/config.toml",
        "table": { "name": "127.0.0.1:<port>", "base_url": "http://127.0.0.1:<port>/v1", "wire_api": "chat" },
        "selected": false,
        "found": {
            "wire": "chat", "base_url": "http://127.0.0.1:<port>/v1", "models": ["m-1"], "model": "m-1",
            "streaming": true, "tools": true,
        },
        "attempts": [{
            "base_url": "http://127.0.0.1:<port>/v1", "wire": "chat", "outcome": "works",
            "message": "streams and calls tools",
        }],
        "warnings": [],
        "next": [
            format!("dovetail exec -c model_provider={id} -m m-1 \"hello\""),
            format!("dovetail provider test {id}"),
        ],
    });
    assert_eq!(told(&lab, &ran), expected);
    assert!(!lab.home().join("config.toml").exists());
    assert_eq!(
        server.lines(),
        [
            "GET /v1/models",
            "POST /v1/chat/completions",
            "POST /v1/chat/completions",
            "POST /v1/chat/completions",
        ],
        "the path says which API to try first"
    );
}

#[tokio::test]
async fn comments_order_and_mode_of_the_file_stay() {
    let server = Api::speaking("responses", &["m-1"]).await;
    let before = "# mine\nmodel = \"x\"   # for now\n\n[model_providers.other] # theirs\nname = \"O\"\n\
                  experimental_bearer_token = \"vendor-secret-0123456789\"\n\n[features]\n# nothing\n";
    let lab = lab(before);
    let path = lab.home().join("config.toml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let ran = lab
        .run(&[
            "provider",
            "add",
            &server.url("/v1"),
            "--id",
            "acme",
            "--name",
            "Acme",
            "--select",
            "--yes",
        ])
        .await
        .expect_code(0);
    tells_no_secret(&ran);
    let after = std::fs::read_to_string(&path).unwrap();
    let url = server.url("/v1");
    let expected = before.replace(
        "model = \"x\"   # for now\n",
        "model = \"m-1\"   # for now\nmodel_provider = \"acme\"\n",
    );
    assert_eq!(
        after,
        format!("{expected}\n[model_providers.acme]\nname = \"Acme\"\nbase_url = \"{url}\"\n")
    );
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    for part in [
        "Responses at http://127.0.0.1:<port>/v1; 1 models: m-1; `m-1` answered\n",
        "+[model_providers.acme]\n",
        "-model = \"x\"   # for now\n+model = \"m-1\"   # for now\n",
        "next: dovetail exec \"hello\"\n      dovetail provider test acme\n",
    ] {
        let shown = lab.normal(&ran.stdout);
        assert!(shown.contains(part), "{part}:\n{shown}");
    }
    lab.exec(&["hello"]).await.expect_code(0);
}

#[tokio::test]
async fn a_server_without_v1_is_found_too() {
    let server = Api::start(|request| match request.line.as_str() {
        "POST /chat/completions" => answer("chat", request),
        _ => Reply::Other(404, "text/plain", "404 page not found"),
    })
    .await;
    let lab = lab("");
    let ran = lab
        .run(&[
            "provider",
            "add",
            &server.url("/v1"),
            "-m",
            "m-7",
            "--yes",
            "--json",
        ])
        .await
        .expect_code(0);
    let told = told(&lab, &ran);
    assert_eq!(told["found"]["base_url"], "http://127.0.0.1:<port>");
    assert_eq!(
        (&told["found"]["model"], &told["found"]["models"]),
        (&json!("m-7"), &json!([]))
    );
}

#[tokio::test]
async fn a_token_of_a_command_is_used_and_named() {
    let server = Api::start(|request| match request.header("authorization") {
        Some("Bearer printed-token-0123") => spoken("responses", &["m-1"], request),
        _ => Reply::Json(401, json!({ "error": { "message": "no" } })),
    })
    .await;
    let lab = lab("");
    let ran = lab
        .run(&[
            "provider",
            "add",
            &server.url(""),
            "--id",
            "acme",
            "--token-command",
            "echo 'printed-token-0123'",
            "--yes",
            "--json",
        ])
        .await
        .expect_code(0);
    let told = told(&lab, &ran);
    assert_eq!(
        told["table"]["auth"],
        json!({ "command": "echo", "args": ["printed-token-0123"] })
    );
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_some())
    );
    lab.exec(&["-c", "model_provider=acme", "-m", "m-1", "hello"])
        .await
        .expect_code(0);
}

#[tokio::test]
async fn a_server_that_calls_no_tools_is_added_with_a_warning_unless_another_api_does() {
    let wordy = |request: &super::api::Request| match request.line.as_str() {
        "GET /v1/models" => listing(&["m-1"]),
        "POST /v1/responses" => match request.body["tools"]
            .as_array()
            .is_some_and(|tools| !tools.is_empty())
        {
            true => Reply::Json(
                400,
                json!({ "error": { "message": "tools are not supported here" } }),
            ),
            false => answer("responses", request),
        },
        _ => not_found(),
    };
    let server = Api::start(wordy).await;
    let lab = lab("");
    let args = [
        "provider",
        "add",
        &server.url(""),
        "--id",
        "acme",
        "--dry-run",
        "--json",
    ];
    let told_alone = told(&lab, &lab.run(&args).await.expect_code(0));
    assert_eq!(told_alone["found"]["tools"], false);
    let warning = told_alone["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("`m-1` calls no tools here, which turns need: ")
            && warning.contains("tools are not supported here"),
        "{warning}"
    );

    let server = Api::start(move |request| match request.line.as_str() {
        "POST /v1/chat/completions" => answer("chat", request),
        _ => wordy(request),
    })
    .await;
    let args = [
        "provider",
        "add",
        &server.url(""),
        "--id",
        "acme",
        "--dry-run",
        "--json",
    ];
    let told_both = told(&lab, &lab.run(&args).await.expect_code(0));
    assert_eq!(
        (&told_both["found"]["wire"], &told_both["found"]["tools"]),
        (&json!("chat"), &json!(true))
    );
}

#[tokio::test]
async fn a_table_is_replaced_where_that_is_wanted() {
    let server = Api::speaking("responses", &["m-1"]).await;
    let before = "# about it\n[model_providers.acme]\nname = \"Old\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\n[features]\n";
    let lab = lab(before);
    let add = |more: &'static str| {
        let url = server.url("/v1");
        let lab = &lab;
        async move {
            lab.run(&[
                "provider", "add", &url, "--id", "acme", "--name", "New", "--yes", more,
            ])
            .await
        }
    };
    let refused = add("--json").await.expect_code(1);
    refused.expect_errors(&[
        "error: there is a provider `acme` already, in user: ",
        "hint: replace its table: --replace",
    ]);
    assert!(
        server.requests().is_empty(),
        "nothing is asked for what cannot be written"
    );
    add("--replace").await.expect_code(0);
    assert_eq!(
        std::fs::read_to_string(lab.home().join("config.toml")).unwrap(),
        format!(
            "# about it\n[model_providers.acme]\nname = \"New\"\nbase_url = \"{}\"\n\n[features]\n",
            server.url("/v1")
        )
    );
}

#[tokio::test]
async fn secrets_in_the_line_that_changes_are_not_shown() {
    let server = Api::speaking("responses", &["m-1"]).await;
    let before = format!(
        "model_providers = {{ other = {{ name = \"O\", experimental_bearer_token = \"{SECRET}\" }} }}\n"
    );
    let lab = lab(&before);
    let url = server.url("");
    let ran = lab
        .run(&["provider", "add", &url, "--id", "acme", "--yes"])
        .await
        .expect_code(0);
    tells_no_secret(&ran);
    assert!(
        ran.stdout.contains("+model_providers = <redacted>\n"),
        "{}",
        ran.stdout
    );
    let after = std::fs::read_to_string(lab.home().join("config.toml")).unwrap();
    assert!(
        after.contains(SECRET) && after.contains("acme = {"),
        "{after}"
    );
}

#[tokio::test]
async fn an_interrupt_at_the_question_ends_it_and_writes_nothing() {
    let server = Api::speaking("chat", &["m-1"]).await;
    let lab = lab("");
    let mut asking =
        lab.start_on_terminal(&["provider", "add", &server.url("/v1"), "--wire", "chat"]);
    asking.wait_for("write it?").await;
    assert_eq!(asking.end_by("INT").await, Some(130));
    assert!(!lab.home().join("config.toml").exists());
}
