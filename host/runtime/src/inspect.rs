//! Looks into a component without running it: what it is (by its exports) and what it needs (its imports).

use std::collections::BTreeSet;

use semver::Version;
use wasmparser::{Chunk, Encoding, Parser, Payload, Validator, WasmFeatures};

use crate::manifest::{HOST_API, Kind};

/// The package that plugins speak.
const CONTRACT: &str = "dovetail:plugin";

/// What a component says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What it is, by its exports.
    pub kinds: BTreeSet<Kind>,
    /// What a provider can do besides.
    pub extras: BTreeSet<Extra>,
    /// The names of its imports as written, such as `dovetail:plugin/http@0.1.0`.
    pub imports: BTreeSet<String>,
    /// The newest version of the contract that its exports and imports name.
    pub contract: Version,
}

/// An optional export beside `provider`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extra {
    /// Users can sign in.
    Login,
    /// Users have a login: they can sign in and out, and ask what it is.
    Account,
    /// It speaks a model API of its own.
    Wire,
}

/// Why a file is no plugin. Reads after its name: ``plugin `x` `` or a path.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Damaged or something else altogether.
    #[error("is not a valid WebAssembly component")]
    Invalid(#[source] wasmparser::BinaryReaderError),
    /// It ends in the middle.
    #[error("is not a whole WebAssembly component: it ends too early")]
    Truncated,
    /// A module without the component around it.
    #[error("is a core WebAssembly module, not a component")]
    CoreModule,
    /// A component that is a program.
    #[error("is a program (it exports `wasi:cli/run`), not a plugin")]
    Program,
    /// A component of something else.
    #[error("exports none of `provider`, `tools`, `hooks` and `sink` of `dovetail:plugin`")]
    NoKind,
    /// Built for another version of the contract.
    #[error("was built for `dovetail:plugin@{guest}`, this host speaks {HOST_API}")]
    OtherContract {
        /// The version it names.
        guest: Version,
    },
}

impl InspectError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Invalid(_) | Self::Truncated => {
                "the file may be incomplete: build or download it again".to_owned()
            }
            Self::CoreModule => "build it with `cargo build --target wasm32-wasip2`".to_owned(),
            Self::Program => {
                "build it as a library: `crate-type = [\"cdylib\"]` and an export of a plugin kind"
                    .to_owned()
            }
            Self::NoKind => {
                "it needs an export of a plugin kind, see `dovetail plugin new`".to_owned()
            }
            Self::OtherContract { guest } if *guest > HOST_API => {
                "update dovetail, or install an older plugin".to_owned()
            }
            Self::OtherContract { .. } => format!("rebuild it with the plugin API {HOST_API}"),
        }
    }
}

/// Checks a component fully and says what it is, without compiling or running any of it.
///
/// # Errors
/// Says what the bytes are instead of a plugin.
pub fn check(wasm: &[u8]) -> Result<Inspection, InspectError> {
    let inspection = outline(wasm)?;
    Validator::new_with_features(WasmFeatures::default())
        .validate_all(wasm)
        .map_err(InspectError::Invalid)?;
    Ok(inspection)
}

/// How much memory all of a component's parts start with, in bytes: what each instance needs at least.
///
/// # Errors
/// The bytes are no component.
pub fn initial_memory(wasm: &[u8]) -> Result<u64, InspectError> {
    let mut bytes = 0_u64;
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::MemorySection(memories) = payload.map_err(InspectError::Invalid)? {
            for memory in memories {
                let memory = memory.map_err(InspectError::Invalid)?;
                let page = 1_u64 << memory.page_size_log2.unwrap_or(WASM_PAGE_LOG2);
                bytes = bytes.saturating_add(memory.initial.saturating_mul(page));
            }
        }
    }
    Ok(bytes)
}

/// A page has 64 KiB unless it says otherwise.
const WASM_PAGE_LOG2: u32 = 16;

/// Reads only the outermost imports and exports: enough for bytes that are compiled (and thereby validated) next, or
/// that were when they entered the cache.
pub(crate) fn outline(wasm: &[u8]) -> Result<Inspection, InspectError> {
    let names = outer_names(wasm)?;
    let mut inspection = Inspection {
        kinds: BTreeSet::new(),
        extras: BTreeSet::new(),
        imports: names.imports.clone(),
        contract: Version::new(0, 0, 0),
    };
    let mut program = false;
    for export in &names.exports {
        match contract_item(export)? {
            Some((item, version)) => {
                inspection.contract = version.max(inspection.contract);
                inspection
                    .kinds
                    .extend(Kind::ALL.into_iter().find(|kind| kind.name() == item));
                match item {
                    "login" => _ = inspection.extras.insert(Extra::Login),
                    "account" => _ = inspection.extras.insert(Extra::Account),
                    "wire" => _ = inspection.extras.insert(Extra::Wire),
                    // A newer minor version may export more than this host calls.
                    _ => {}
                }
            }
            None => program |= export.starts_with("wasi:cli/run"),
        }
    }
    for import in &names.imports {
        if let Some((_, version)) = contract_item(import)? {
            inspection.contract = version.max(inspection.contract);
        }
    }
    match (inspection.kinds.is_empty(), program) {
        (false, _) => Ok(inspection),
        (true, true) => Err(InspectError::Program),
        (true, false) => Err(InspectError::NoKind),
    }
}

/// The interface of our own package that a name means and its version, if it is one, checked to be of this contract.
fn contract_item(name: &str) -> Result<Option<(&str, Version)>, InspectError> {
    let Some(rest) = name
        .strip_prefix(CONTRACT)
        .and_then(|rest| rest.strip_prefix('/'))
    else {
        return Ok(None);
    };
    let (item, version) = rest.split_once('@').unwrap_or((rest, ""));
    let guest = Version::parse(version).unwrap_or(Version::new(0, 0, 0));
    if speaks(&guest) {
        Ok(Some((item, guest)))
    } else {
        Err(InspectError::OtherContract { guest })
    }
}

/// Whether a plugin of that version of the contract works with this host: below 1.0 a new minor version may break, from
/// then on only a new major one.
pub(crate) fn speaks(guest: &Version) -> bool {
    guest.major == HOST_API.major && (guest.major > 0 || guest.minor == HOST_API.minor)
}

#[derive(Default)]
struct Names {
    imports: BTreeSet<String>,
    exports: Vec<String>,
}

/// Reads the outermost level only; what is nested in it is stepped over unread.
fn outer_names(wasm: &[u8]) -> Result<Names, InspectError> {
    let mut names = Names::default();
    let mut parser = Parser::new(0);
    let mut rest = wasm;
    loop {
        let (consumed, payload) = match parser.parse(rest, true).map_err(InspectError::Invalid)? {
            Chunk::Parsed { consumed, payload } => (consumed, payload),
            Chunk::NeedMoreData(_) => return Err(InspectError::Truncated),
        };
        let mut nested = 0;
        match payload {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } => {
                return Err(InspectError::CoreModule);
            }
            Payload::ModuleSection {
                unchecked_range, ..
            }
            | Payload::ComponentSection {
                unchecked_range, ..
            } => nested = unchecked_range.len(),
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import.map_err(InspectError::Invalid)?;
                    names.imports.insert(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(InspectError::Invalid)?;
                    names.exports.push(export.name.name.to_owned());
                }
            }
            Payload::End(_) => return Ok(names),
            _ => {}
        }
        rest = rest
            .get(consumed + nested..)
            .ok_or(InspectError::Truncated)?;
    }
}
