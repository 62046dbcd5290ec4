//! `dovetail demo`, and `dovetail rehearse` with which anybody can do the same.

use dovetail_tests::{Lab, script};

use crate::DOVETAIL;

#[tokio::test]
async fn the_demo_shows_every_kind_of_plugin_at_work_and_leaves_nothing_behind() {
    let mut lab = Lab::bare(DOVETAIL);
    let temporary = lab.outside().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    lab.set_env("TMPDIR", temporary.to_str().unwrap());
    // The user's own key must stay where it is: the rehearsal expects another.
    lab.set_env("OPENAI_API_KEY", "sk-of-the-user");
    let ran = lab.run(&["demo"]).await.expect_code(0);
    assert!(
        ran.stdout
            .starts_with("Fixed: the greeting was missing a comma"),
        "{}",
        ran.stdout
    );
    for (plugin, kind) in [
        ("openai", "provider"),
        ("no-rm", "hooks"),
        ("notes", "tools"),
        ("jsonl-sink", "sink"),
    ] {
        let row = ran
            .stderr
            .lines()
            .find(|line| line.starts_with(plugin) && line.contains(kind));
        let row = row.unwrap_or_else(|| panic!("`{plugin}` has no row in:\n{}", ran.stderr));
        assert!(
            !row.contains("     0   "),
            "`{plugin}` was never called: {row}"
        );
    }
    for part in [
        "deny",
        "rm -rf build",
        "destructive commands need a person",
        "greet.sh",
        "next: ",
    ] {
        assert!(
            ran.stderr.contains(part),
            "`{part}` is missing in:\n{}",
            ran.stderr
        );
    }
    assert!(!ran.stderr.contains("sk-of-the-user"));
    assert_eq!(
        std::fs::read_dir(&temporary).unwrap().count(),
        0,
        "the demo left something behind"
    );
    assert_eq!(lab.rollouts().len(), 0);
}

#[tokio::test]
async fn a_rehearsal_serves_a_script_and_reports_what_differed() {
    let lab = Lab::bare(DOVETAIL);
    let expecting = "[[response]]\nexpect = [{ input_contains = \"the right words\" }]\nactions = [{ text = \"hi\" }]\n";
    for (prompt, code, report) in [
        ("the right words", 0, "1"),
        ("others", 1, "the request is not what the script expects"),
    ] {
        lab.write("script.toml", expecting);
        let mut rehearsal = lab.start(&["rehearse", "script.toml"]);
        let line = rehearsal.wait_for("listening on ").await;
        let url = line.strip_prefix("listening on ").unwrap();
        lab.write_config(&format!(
            "model_provider = \"r\"\n[model_providers.r]\nname = \"r\"\nbase_url = \"{}\"\nstream_max_retries = 0\n",
            url
        ));
        lab.exec(&[prompt]).await.expect_code(code);
        if code != 0 {
            rehearsal.signal("INT");
        }
        let ran = rehearsal.finish().await.expect_code(code);
        assert!(
            ran.stderr.contains(report) || ran.stdout.contains(report),
            "{ran:?}"
        );
    }
}

#[tokio::test]
async fn a_script_with_a_mistake_is_refused_with_its_line() {
    let lab = Lab::bare(DOVETAIL);
    lab.write("script.toml", script::answer("hi").replace("text", "txt"));
    lab.run(&["rehearse", "script.toml"])
        .await
        .expect_code(1)
        .expect_errors(&["line "]);
}
