//! Components that ask for more tables, memories and instances than a guest may have.

use std::path::Path;

use serde_json::Value;
use wasm_encoder::{
    Component as Encoded, InstanceSection, MemorySection, MemoryType, Module, ModuleArg,
    ModuleSection, RefType, TableSection, TableType,
};
use wasmtime::component::{Component, Linker};

use super::*;
use crate::digest::Sha256;
use crate::engine::Engine;
use crate::grant::Grant;
use crate::host_env::HostEnv;
use crate::ledger::Subject;
use crate::lock::Scope;
use crate::manifest::Manifest;
use crate::services::Services;

fn tables(count: u32, elements: u64) -> Module {
    let mut section = TableSection::new();
    for _ in 0..count {
        section.table(TableType {
            element_type: RefType::FUNCREF,
            minimum: elements,
            maximum: None,
            table64: false,
            shared: false,
        });
    }
    let mut module = Module::new();
    module.section(&section);
    module
}

fn memories(count: u32, pages: u64) -> Module {
    let mut section = MemorySection::new();
    for _ in 0..count {
        section.memory(MemoryType {
            minimum: pages,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
    }
    let mut module = Module::new();
    module.section(&section);
    module
}

/// A component of so many instances of a module.
fn component(module: &Module, instances: usize) -> Vec<u8> {
    let mut encoded = Encoded::new();
    encoded.section(&ModuleSection(module));
    let mut section = InstanceSection::new();
    for _ in 0..instances {
        section.instantiate(0, Vec::<(&str, ModuleArg)>::new());
    }
    encoded.section(&section);
    encoded.finish()
}

async fn instantiate(bytes: &[u8]) -> Result<(), String> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let text = "id = \"x\"\nversion = \"1.0.0\"\napi = \"^0.1\"\nkinds = [\"tools\"]\n";
    let manifest = Manifest::parse(text, Path::new("plugin.toml")).expect("a manifest");
    let subject = Subject::new(&Scope::User, &manifest, Sha256::of(bytes), &Value::Null);
    let services = Services::new(HostEnv::default(), dir.path(), dir.path());
    let grant = Arc::new(Grant::intersect(&manifest.request, &manifest.request));
    let context = PluginContext::new(
        manifest.id.clone(),
        grant,
        manifest.limits,
        &Value::Null,
        Arc::new(services),
        None,
        subject,
    );
    let engine = Engine::new().expect("the engine starts");
    let _ticking = engine.running();
    let mut store = GuestState::store(engine.wasm(), &Arc::new(context.expect("no directories")))
        .expect("a store");
    store.data_mut().begin(100);
    store.set_epoch_deadline(1);
    let component = Component::new(engine.wasm(), bytes).expect("it is valid");
    Linker::new(engine.wasm())
        .instantiate_async(&mut store, &component)
        .await
        .map(drop)
        .map_err(|error| format!("{error:?}"))
}

#[tokio::test]
async fn what_is_within_the_bounds_is_made() {
    let most = MOST_TABLE_ELEMENTS as u64;
    for (what, bytes) in [
        ("a large table", component(&tables(1, most), 1)),
        ("many tables", component(&tables(32, 10), 2)),
        ("memories", component(&memories(8, 1), 2)),
        ("instances", component(&memories(0, 0), MOST_INSTANCES)),
    ] {
        assert_eq!(instantiate(&bytes).await, Ok(()), "{what}");
    }
}

#[tokio::test]
async fn what_is_beyond_them_is_refused() {
    let most = MOST_TABLE_ELEMENTS as u64;
    for (what, bytes) in [
        (
            "a table that is too large",
            component(&tables(1, most + 1), 1),
        ),
        ("too many tables", component(&tables(33, 10), 2)),
        ("too many memories", component(&memories(9, 1), 2)),
        (
            "too many instances",
            component(&memories(0, 0), MOST_INSTANCES + 1),
        ),
        // The manifest sets no limit: 64 MiB.
        ("too much memory", component(&memories(1, 1025), 1)),
        ("too much memory in pieces", component(&memories(2, 513), 1)),
    ] {
        let refused = instantiate(&bytes).await;
        assert!(refused.is_err(), "{what}");
    }
}
