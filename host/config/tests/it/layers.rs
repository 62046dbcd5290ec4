//! Which layer wins, and what a project may not say.

use dovetail_config::{
    ApprovalPolicy, HistoryPersistence, InheritEnv, Override, SandboxMode, WebSearchMode,
};
use serde_json::json;

use crate::stage::Stage;

#[track_caller]
fn check_model(stage: Stage, expected: Option<&str>) {
    assert_eq!(stage.load().model.as_deref(), expected);
}

/// A stage with a model in each of the named layers, called after it.
fn models(layers: &[&str]) -> Stage {
    layers.iter().fold(
        Stage::new().trusting_user(""),
        |stage, layer| match *layer {
            "system" => stage.file("system.toml", "model = \"system\""),
            "user" => stage.trusting_user("model = \"user\""),
            "profile" => stage
                .file("home/p.config.toml", "model = \"profile\"")
                .profile("p"),
            "root" => stage.file("project/.codex/config.toml", "model = \"root\""),
            "inner" => stage.file("project/inner/.codex/config.toml", "model = \"inner\""),
            "managed" => stage.file("managed.toml", "model = \"managed\""),
            "managed2" => stage.file("managed2.toml", "model = \"managed2\""),
            _ => stage.set("model=flag"),
        },
    )
}

#[test]
fn higher_layers_win() {
    let order = [
        "system", "user", "profile", "root", "inner", "flag", "managed", "managed2",
    ];
    check_model(models(&[]), None);
    for (at, highest) in order.iter().enumerate() {
        check_model(models(&order[..=at]), Some(highest));
    }
}

#[test]
fn later_flags_win() {
    check_model(
        Stage::new()
            .set("model=a")
            .flag(Override::flag("--model", &["model"], "b")),
        Some("b"),
    );
}

#[test]
fn tables_merge_and_everything_else_replaces() {
    let config = Stage::new()
        .file(
            "system.toml",
            "project_root_markers = [\"a\", \"b\"]\n[features]\nfast_mode = true\nshell_tool = true",
        )
        .user("project_root_markers = [\".git\"]\n[features]\nshell_tool = false\nweb_search_request = true")
        .load();
    let features: Vec<(&str, bool)> = config
        .features
        .iter()
        .map(|(name, on)| (name.as_str(), *on))
        .collect();
    assert_eq!(
        features,
        [
            ("fast_mode", true),
            ("shell_tool", false),
            ("web_search_request", true)
        ]
    );
    assert!(config.project.marked);
}

#[test]
fn an_untrusted_project_says_nothing_and_that_is_said() {
    let stage = Stage::new().file("project/.codex/config.toml", "model = \"evil\"");
    let config = stage.load();
    assert_eq!(config.model, None);
    assert_eq!(
        stage.normal(&config.warnings.join("\n")),
        "`$STAGE/project/.codex/config.toml` is ignored because this project is not trusted; to trust it: dovetail exec --trust"
    );
    assert!(!config.project.trusted());
}

#[test]
fn only_the_users_own_file_gives_trust() {
    let trust = "[projects.\"$STAGE/project\"]\ntrust_level = \"trusted\"";
    for stage in [
        Stage::new().file("system.toml", trust),
        Stage::new().file("home/p.config.toml", trust).profile("p"),
        Stage::new().user("[projects.\"$STAGE/project\"]\ntrust_level = \"untrusted\""),
        Stage::new().user("[projects.\"$STAGE/project/inner\"]\ntrust_level = \"trusted\""),
    ] {
        assert!(!stage.load().project.trusted());
    }
    let stage = Stage::new();
    let flag = Override::flag(
        "-c",
        &[
            "projects",
            stage.path("project").to_str().expect("text"),
            "trust_level",
        ],
        "trusted",
    );
    assert!(!stage.flag(flag).load().project.trusted());
    let ignoring = Stage::new()
        .trusting_user("model = \"user\"")
        .ignoring_user()
        .load();
    assert!(ignoring.project.trusted());
    assert_eq!(ignoring.model, None);
}

#[test]
fn a_trusted_project_cannot_choose_who_gets_the_conversation() {
    let stage = Stage::new().trusting_user("").file(
        "project/.codex/config.toml",
        "model_provider = \"evil\"\nnotify = [\"rm\"]\nopenai_base_url = \"http://evil\"\nmodel = \"fine\"\n[model_providers.evil]\nname = \"x\"\n[dovetail]\nallow_native = true\n[projects.\"/\"]\ntrust_level = \"trusted\"",
    );
    let config = stage.load();
    assert_eq!(config.model.as_deref(), Some("fine"));
    assert_eq!(
        (
            config.model_provider.as_str(),
            config.notify.len(),
            config.openai_base_url
        ),
        ("openai", 0, None)
    );
    assert!(config.model_providers.is_empty() && !config.dovetail.allow_native);
    let warned: Vec<&str> = config
        .warnings
        .iter()
        .filter_map(|warning| warning.split('`').nth(1))
        .collect();
    assert_eq!(
        warned,
        [
            "dovetail",
            "model_provider",
            "model_providers",
            "notify",
            "openai_base_url",
            "projects"
        ]
    );
    assert_eq!(
        stage.normal(&config.warnings[1]),
        "`model_provider` in `$STAGE/project/.codex/config.toml` line 1 is ignored: a project cannot set it"
    );
}

#[test]
fn the_users_own_file_is_no_projects_file() {
    let stage = Stage::new().file("project/.codex/config.toml", "model = \"mine\"");
    let home = stage.path("project/.codex");
    let config = dovetail_config::load(&dovetail_config::LoadRequest {
        home: &home,
        cwd: stage.cwd(),
        system: &stage.path("none"),
        profile: None,
        overrides: &[],
        managed: &[],
        strict: false,
        ignore_user: false,
    })
    .expect("it loads");
    assert_eq!(
        (config.model.as_deref(), config.warnings.len()),
        (Some("mine"), 0)
    );
}

#[test]
fn the_project_is_found_by_its_marker() {
    let stage = Stage::new();
    let project = stage.load().project;
    assert_eq!(
        (project.root, project.marked),
        (stage.path("project"), true)
    );
    let bare = Stage::new().set("project_root_markers=[]");
    let project = bare.load().project;
    assert_eq!(
        (project.root.as_path(), project.marked),
        (bare.cwd(), false)
    );
    let other = Stage::new()
        .user("project_root_markers = [\"WORKSPACE\"]")
        .file("WORKSPACE", "");
    assert_eq!(other.load().project.root, other.path(""));
}

#[test]
fn everything_has_its_type() {
    let stage = Stage::new().user(
        r#"
model = "m"
model_provider = "acme"
approval_policy = "on-request"
sandbox_mode = "workspace-write"
model_reasoning_effort = "weird"
model_reasoning_summary = "none"
model_verbosity = "low"
service_tier = "fast"
web_search = "live"
project_doc_max_bytes = 0x10
project_doc_fallback_filenames = ["CLAUDE.md"]
notify = ["notify-send", "x"]
model_instructions_file = "base.md"
model_context_window = 1_000
[sandbox_workspace_write]
writable_roots = ["/data", "rel"]
network_access = true
[shell_environment_policy]
inherit = "core"
set = { A = "1" }
[history]
persistence = "none"
max_bytes = 5
[model_providers.acme]
name = "Acme"
base_url = "https://llm.acme.example/v1"
query_params = { api-version = "1" }
[mcp_servers.files]
command = "npx"
[dovetail]
strict = true
[dovetail.plugins.sink]
enabled = true
config = { path = "x", depth = 1.5 }
secrets = { token = { env = "ACME" } }
classes = ["content"]
"#,
    );
    let config = stage.strict().load();
    assert_eq!(config.approval_policy, Some(ApprovalPolicy::OnRequest));
    assert_eq!(config.sandbox_mode, Some(SandboxMode::WorkspaceWrite));
    assert_eq!(config.model_reasoning_effort.as_deref(), Some("weird"));
    assert_eq!(config.service_tier.as_deref(), Some("fast"));
    assert_eq!(config.web_search, Some(WebSearchMode::Live));
    assert_eq!(config.project_docs.max_bytes, 16);
    assert_eq!(
        config.model_instructions_file,
        Some(config.home.join("base.md"))
    );
    assert_eq!(
        config.sandbox_workspace_write.writable_roots,
        ["/data".into(), config.home.join("rel")]
    );
    assert!(config.sandbox_workspace_write.network_access);
    assert_eq!(config.shell_environment_policy.inherit, InheritEnv::Core);
    assert_eq!(config.shell_environment_policy.set["A"], "1");
    assert_eq!(
        (config.history.persistence, config.history.max_bytes),
        (HistoryPersistence::None, Some(5))
    );
    assert_eq!(
        config.model_providers["acme"],
        json!({"name": "Acme", "base_url": "https://llm.acme.example/v1", "query_params": {"api-version": "1"}})
    );
    assert_eq!(config.mcp_servers["files"], json!({"command": "npx"}));
    assert!(config.dovetail.strict);
    let sink = &config.dovetail.plugins["sink"];
    assert_eq!(
        (sink.enabled, sink.config.clone()),
        (Some(true), Some(json!({"path": "x", "depth": 1.5})))
    );
    assert_eq!(sink.secrets["token"], json!({"env": "ACME"}));
    assert_eq!(sink.table["classes"], json!(["content"]));
    config.check_provider([]).expect("it has a table");
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let stage = Stage::new();
    let config = stage.load();
    assert_eq!(config.model_provider, "openai");
    assert_eq!(config.project_docs.max_bytes, 32 * 1024);
    assert_eq!((config.approval_policy, config.sandbox_mode), (None, None));
    config.check_provider([]).expect("it is built in");
    assert_eq!(
        std::fs::read_dir(stage.home()).expect("the home").count(),
        0,
        "loading leaves no trace"
    );
}

#[test]
fn granular_approvals_are_a_table() {
    let config = Stage::new()
        .user("[approval_policy.granular]\nrules = true")
        .load();
    assert_eq!(config.approval_policy, Some(ApprovalPolicy::Granular));
}

#[test]
fn a_flag_that_an_administrator_overrules_says_so() {
    let stage = Stage::new()
        .file(
            "managed.toml",
            "\nsandbox_mode = \"read-only\"\n[features]\nfast_mode = false",
        )
        .flag(Override::flag(
            "--sandbox",
            &["sandbox_mode"],
            "danger-full-access",
        ))
        .set("features.fast_mode=true")
        .set("features.shell_tool=false")
        .set("model=mine");
    let config = stage.load();
    assert_eq!(config.sandbox_mode, Some(SandboxMode::ReadOnly));
    assert_eq!(config.model.as_deref(), Some("mine"));
    assert_eq!(
        config
            .warnings
            .iter()
            .map(|warning| stage.normal(warning))
            .collect::<Vec<_>>(),
        [
            "`--sandbox` has no effect: `$STAGE/managed.toml` line 2 decides",
            "`-c features.fast_mode` has no effect: `$STAGE/managed.toml` line 4 decides",
        ]
    );
}

#[test]
fn what_may_be_used_is_decided_by_one_layer_as_a_whole() {
    let stage = Stage::new()
        .file(
            "managed.toml",
            "[dovetail.plugin_policy]\nallow_digests = [\"managed\"]",
        )
        .user("[dovetail.plugin_policy]\nallow_keys = [\"mine\"]\nallow_digests = [\"mine\"]")
        .set("dovetail.plugin_policy.allow_sources=[\"folder:/\"]");
    let policy = stage.load().dovetail.plugin_policy.expect("there is one");
    assert_eq!(policy.digests, ["managed"]);
    assert_eq!(
        (policy.keys.as_slice(), policy.sources.as_slice()),
        (&[][..], &[][..])
    );
    assert_eq!(
        stage.normal(&policy.place.to_string()),
        "`$STAGE/managed.toml` line 1"
    );
}
