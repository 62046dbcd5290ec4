//! Loading is on the way of every start.

use std::time::{Duration, Instant};

use crate::stage::Stage;

#[test]
fn loading_takes_well_under_a_millisecond() {
    let providers: String = (0..20)
        .map(|n| format!("[model_providers.p{n}]\nname = \"P{n}\"\nbase_url = \"https://p{n}.example/v1\"\nenv_key = \"KEY{n}\"\n"))
        .collect();
    let stage = Stage::new()
        .trusting_user(&format!("model = \"m\"\n{providers}"))
        .file("project/.codex/config.toml", "model_verbosity = \"low\"")
        .set("model_provider=p3");
    let best = (0..50).map(|_| {
        let clock = Instant::now();
        stage.load();
        clock.elapsed()
    });
    let best = best.min().unwrap_or(Duration::MAX);
    // Unoptimized code on a busy machine is ten times slower than what is shipped.
    let limit = if cfg!(debug_assertions) {
        Duration::from_millis(10)
    } else {
        Duration::from_millis(1)
    };
    assert!(best < limit, "{best:?}");
}
