//! A provider's own list of models: who is asked for it, when, and what becomes of the answer.

mod asking;
mod catalogue_url;
mod failures;
mod keeping;
mod merging;
mod service;

use std::fs;

use dovetail_tests::{Lab, Ran};
use serde_json::{Value, json};

use crate::DOVETAIL;
use service::{Service, list};

/// A world with a service that has a list, whose token a command prints.
struct World {
    lab: Lab,
    service: Service,
}

impl World {
    async fn new(lists: Vec<service::Answer>) -> Self {
        let lab = Lab::bare(DOVETAIL);
        let service = Service::start(lists).await;
        let world = Self { lab, service };
        world.configure("gpt-5.5", "");
        world
    }

    /// Chooses a model, with more configuration behind the provider's table.
    fn configure(&self, model: &str, more: &str) {
        self.lab.write_config(&format!(
            "model = \"{model}\"\nmodel_provider = \"corp\"\n{}\n[model_providers.corp.auth]\ncommand = \"/bin/echo\"\nargs = [\"token-1\"]\n{more}\n",
            self.table("corp")
        ));
    }

    /// The table of a provider at the service.
    fn table(&self, id: &str) -> String {
        let url = self.service.url();
        format!(
            "[model_providers.{id}]\nname = \"Corp\"\nbase_url = \"{url}/v1\"\nrequest_max_retries = 0\nstream_max_retries = 0\n"
        )
    }

    /// Runs a turn that is answered.
    async fn turn(&self) -> Ran {
        let ran = self.lab.exec_json(&["hello"], 0).await;
        assert!(ran.stdout.contains("hi there"), "{}", ran.stdout);
        ran
    }

    /// What the service was asked since the last look, in words.
    fn asked(&self) -> Vec<String> {
        self.service
            .take()
            .iter()
            .map(|asked| format!("{} {}", asked.method, asked.path))
            .collect()
    }

    fn kept_path(&self) -> std::path::PathBuf {
        self.lab.home().join("models_cache.json")
    }

    /// The kept list.
    fn kept(&self) -> Value {
        let text = fs::read_to_string(self.kept_path()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Changes a field of the kept list.
    fn change_kept(&self, field: &str, value: Value) {
        let mut kept = self.kept();
        kept[field] = value;
        fs::write(self.kept_path(), kept.to_string()).unwrap();
    }

    /// Everything about a model as it is known without asking.
    async fn explained(&self, model: &str) -> Value {
        let ran = self
            .lab
            .run(&["models", "explain", model, "--offline", "--json"])
            .await;
        ran.expect_code(0).json()
    }

    /// The names of the listed models.
    async fn listed(&self, more: &[&str]) -> Vec<String> {
        let ran = self
            .lab
            .run(&[&["models", "list", "--json"], more].concat())
            .await;
        let list = ran.expect_code(0).json();
        let models = list.as_array().unwrap().iter();
        models
            .map(|model| model["model"].as_str().unwrap().to_owned())
            .collect()
    }
}

const TURN: &str = "POST /v1/responses";
const LIST: &str = "GET /v1/models?client_version=0.169.0";

/// A list with one model that nobody else knows and one that the built-in catalogue knows too.
fn usual() -> Value {
    json!({"models": [
        {
            "slug": "brand-new", "display_name": "Brand New", "context_window": 50_000, "priority": 0,
            "default_reasoning_level": "high", "supported_reasoning_levels": [{"effort": "high", "description": "much"}],
            "visibility": "list", "from_the_future": [1],
        },
        { "slug": "gpt-5.5", "context_window": 70_000, "visibility": "list", "priority": 9 },
    ]})
}

/// That list, with a tag.
fn tagged(tag: &str) -> service::Answer {
    list(&usual()).with_header(&format!("etag: {tag}"))
}
