//! From C calls to trait methods. Only [`export_plugin!`](crate::export_plugin) names what is here.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::slice;
use std::sync::{Arc, Once, PoisonError, RwLock};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::{Bytes, status};
use crate::op::{self, Op};
use crate::plugin::Opening;
use crate::{Error, Hooks, Plugin, Provider, Sink, Tools, hooks, provider, sink, tools};

/// Exports a type as the plugin of this library: its id, as in `plugin.toml`, and the traits that it implements, each by
/// the name of the kind.
///
/// ```ignore
/// export_plugin!(Signer, id: "acme-signer", kinds: [provider, tools]);
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty, id: $id:literal, kinds: [$first:ident $(, $kind:ident)* $(,)?] $(,)?) => {
        #[cfg(panic = "abort")]
        compile_error!("a native plugin must be built with `panic = \"unwind\"`: an abort would end dovetail");

        const _: () = {
            static CELL: $crate::export::Cell<$plugin> = $crate::export::Cell::new(&[
                $crate::export::$first::<$plugin>,
                $($crate::export::$kind::<$plugin>,)*
            ]);

            const MANIFEST: &str = concat!(
                "{\"abi\":1,\"id\":\"", $id, "\",\"api\":\"0.1.0\",\"kinds\":[\"", stringify!($first), "\"",
                $(",\"", stringify!($kind), "\"",)*
                "]}"
            );

            // The bytes themselves and not a pointer to them: they are read from the file.
            #[unsafe(export_name = "dovetail_native_manifest")]
            static IN_THE_FILE: [u8; MANIFEST.len()] = $crate::export::bytes(MANIFEST);

            static TABLE: $crate::abi::Table = $crate::abi::Table::new(
                MANIFEST,
                call,
                $crate::export::release,
            );

            unsafe extern "C-unwind" fn call(
                op: u32,
                input: *const u8,
                input_len: usize,
                output: *mut $crate::abi::Bytes,
            ) -> i32 {
                // SAFETY: the host keeps to `dovetail_native.h`, which asks what this function does.
                unsafe { $crate::export::call(&CELL, op, input, input_len, output) }
            }

            #[unsafe(no_mangle)]
            extern "C-unwind" fn dovetail_native_plugin() -> *const $crate::abi::Table {
                &raw const TABLE
            }
        };
    };
}

/// A text as an array of its length.
pub const fn bytes<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes.copy_from_slice(text.as_bytes());
    bytes
}

/// What an operation came to, as bytes.
type Answer = Result<Vec<u8>, Error>;

/// Does an operation if it is one of a certain kind.
type Dispatch<P> = fn(&P, u32, &[u8]) -> Option<Answer>;

/// The one value of a plugin's type.
pub struct Cell<P: 'static> {
    plugin: RwLock<Option<Arc<P>>>,
    kinds: &'static [Dispatch<P>],
}

impl<P: Plugin> Cell<P> {
    /// Not opened yet.
    pub const fn new(kinds: &'static [Dispatch<P>]) -> Self {
        Self {
            plugin: RwLock::new(None),
            kinds,
        }
    }

    fn put(&self, plugin: Option<Arc<P>>) {
        let old = {
            let mut held = self.plugin.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, plugin)
        };
        // Outside the lock: a plugin's own `drop` may do anything.
        drop(old);
    }

    fn get(&self) -> Option<Arc<P>> {
        let held = self.plugin.read().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    /// None where the operation is not implemented.
    fn answer(&self, number: u32, input: &[u8]) -> Option<Answer> {
        if number == op::OPEN.number {
            // The old value goes first: it may hold what the new one needs.
            self.put(None);
            return Some(with(input, |opening: Opening| {
                self.put(Some(Arc::new(P::open(&opening)?)));
                Ok(())
            }));
        }
        let Some(plugin) = self.get() else {
            return Some(Err(Error::Other("the plugin is not open".to_owned())));
        };
        self.kinds
            .iter()
            .find_map(|kind| kind(&plugin, number, input))
    }
}

/// Does an operation; what a library's `call` is.
///
/// # Safety
/// `input` points to `input_len` bytes (or that is zero), and `output` to a [`Bytes`] that may be written.
pub unsafe fn call<P: Plugin>(
    cell: &Cell<P>,
    number: u32,
    input: *const u8,
    input_len: usize,
    output: *mut Bytes,
) -> i32 {
    let input = if input_len == 0 || input.is_null() {
        &[]
    } else {
        // SAFETY: as the caller promises.
        unsafe { slice::from_raw_parts(input, input_len) }
    };
    let (status, bytes) = guarded(cell, number, input);
    let bytes = Box::leak(bytes.into_boxed_slice());
    let bytes = Bytes {
        data: bytes.as_mut_ptr(),
        len: bytes.len(),
    };
    // SAFETY: as the caller promises.
    unsafe { output.write(bytes) };
    status
}

/// Takes back what [`call`] gave; what a library's `release` is.
///
/// # Safety
/// `output` came from [`call`], and is given back only once.
pub unsafe extern "C-unwind" fn release(output: Bytes) {
    if output.data.is_null() {
        return;
    }
    let bytes = std::ptr::slice_from_raw_parts_mut(output.data, output.len);
    // SAFETY: `call` leaked a boxed slice of exactly these bytes.
    drop(unsafe { Box::from_raw(bytes) });
}

fn guarded<P: Plugin>(cell: &Cell<P>, number: u32, input: &[u8]) -> (i32, Vec<u8>) {
    remember_panics();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| cell.answer(number, input)));
    match outcome {
        Ok(Some(Ok(answer))) => (status::OK, answer),
        Ok(Some(Err(error))) => (status::ERROR, json(&error).unwrap_or_default()),
        Ok(None) => (status::UNKNOWN, Vec::new()),
        Err(panic) => {
            // Neither the value nor what was thrown is of use any more, and dropping either may panic as well.
            let dropped = panic::catch_unwind(AssertUnwindSafe(|| cell.put(None)));
            std::mem::forget((dropped, panic));
            let words = LAST_PANIC.with_borrow_mut(std::mem::take);
            (status::PANIC, words.into_bytes())
        }
    }
}

thread_local! {
    /// What this thread's latest panic said, and where.
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Has panics remembered instead of printed over the user's screen. The hook is this library's own: each has a copy of
/// the standard library.
fn remember_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let words = info.payload_as_str().unwrap_or("a panic without words");
            let place = info
                .location()
                .map(|place| format!(", {}:{}", place.file(), place.line()));
            let text = format!("{words}{}", place.unwrap_or_default());
            LAST_PANIC.with_borrow_mut(|last| *last = text);
        }));
    });
}

fn json(value: &impl Serialize) -> Answer {
    serde_json::to_vec(value)
        .map_err(|e| Error::Other(format!("the answer cannot be written as JSON: {e}")))
}

/// Reads an operation's parameters and writes its answer.
fn with<I: DeserializeOwned, O: Serialize>(
    input: &[u8],
    work: impl FnOnce(I) -> Result<O, Error>,
) -> Answer {
    let input = serde_json::from_slice(input)
        .map_err(|e| Error::Invalid(format!("the host's message is not understood: {e}")))?;
    json(&work(input)?)
}

/// Operations of a provider.
pub fn provider<P: Provider>(plugin: &P, number: u32, input: &[u8]) -> Option<Answer> {
    use provider::{Authorize, Classify, Configure, ForScope, Recover};
    let is = |op: Op| op.number == number;
    Some(if is(op::PROVIDER_DESCRIBE) {
        json(&plugin.describe())
    } else if is(op::PROVIDER_CONFIGURE) {
        with(input, |asked: Configure| {
            let table = serde_json::from_str(&asked.table_json)
                .map_err(|e| Error::Invalid(e.to_string()))?;
            plugin.configure(&asked.provider_id, &table)
        })
    } else if is(op::PROVIDER_PREPARE) {
        with(input, |asked: ForScope| plugin.prepare(&asked.scope))
    } else if is(op::PROVIDER_AUTHORIZE) {
        with(input, |asked: Authorize| {
            let digest = asked.body_sha256.as_slice().try_into();
            let digest =
                digest.map_err(|_| Error::Invalid("`body-sha256` is not 32 bytes".to_owned()))?;
            plugin.authorize(&asked.scope, &asked.head, digest)
        })
    } else if is(op::PROVIDER_CLASSIFY) {
        with(input, |asked: Classify| {
            Ok(plugin.classify(asked.status, &asked.headers, &asked.excerpt))
        })
    } else if is(op::PROVIDER_RECOVER) {
        with(input, |asked: Recover| {
            plugin.recover(&asked.scope, &asked.failure)
        })
    } else if is(op::PROVIDER_LIST_MODELS) {
        with(input, |asked: ForScope| plugin.list_models(&asked.scope))
    } else {
        return None;
    })
}

/// Operations of a tool server.
pub fn tools<P: Tools>(plugin: &P, number: u32, input: &[u8]) -> Option<Answer> {
    let is = |op: Op| op.number == number;
    Some(if is(op::TOOLS_LIST_TOOLS) {
        plugin.list_tools().and_then(|tools| json(&tools))
    } else if is(op::TOOLS_CALL_TOOL) {
        with(input, |asked: tools::CallTool| {
            plugin.call_tool(&asked.call)
        })
    } else {
        return None;
    })
}

/// Operations of a hook.
pub fn hooks<P: Hooks>(plugin: &P, number: u32, input: &[u8]) -> Option<Answer> {
    let is = |op: Op| op.number == number;
    Some(if is(op::HOOKS_SUBSCRIPTIONS) {
        json(&plugin.subscriptions())
    } else if is(op::HOOKS_HANDLE) {
        with(input, |asked: hooks::Handle| plugin.handle(&asked.event))
    } else {
        return None;
    })
}

/// Operations of a sink.
pub fn sink<P: Sink>(plugin: &P, number: u32, input: &[u8]) -> Option<Answer> {
    let is = |op: Op| op.number == number;
    Some(if is(op::SINK_SUBSCRIPTIONS) {
        json(&plugin.subscriptions())
    } else if is(op::SINK_OPEN) {
        with(input, |asked: sink::Open| {
            plugin.open_sink(&asked.config_json)
        })
    } else if is(op::SINK_DELIVER) {
        with(input, |asked: sink::Deliver| plugin.deliver(&asked.batch))
    } else if is(op::SINK_CLOSE) {
        plugin.close().and_then(|()| json(&()))
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Moody;

    impl Plugin for Moody {
        fn open(opening: &Opening) -> Result<Self, Error> {
            match opening.config_json.as_str() {
                "{}" => Ok(Self),
                other => Err(Error::Unavailable(other.to_owned())),
            }
        }
    }

    impl Tools for Moody {
        #[expect(clippy::panic, reason = "that is what is tried")]
        fn list_tools(&self) -> Result<Vec<tools::Tool>, Error> {
            panic!("not today")
        }

        fn call_tool(&self, call: &tools::Call) -> Result<tools::CallResult, Error> {
            Ok(tools::CallResult::text(&call.name))
        }
    }

    crate::export_plugin!(Moody, id: "moody", kinds: [tools]);

    unsafe extern "C-unwind" {
        fn dovetail_native_plugin() -> *const crate::abi::Table;
    }

    fn cell() -> Cell<Moody> {
        Cell::new(&[tools::<Moody>])
    }

    fn text((status, bytes): (i32, Vec<u8>)) -> (i32, String) {
        (status, String::from_utf8(bytes).expect("text"))
    }

    fn open(cell: &Cell<Moody>, config: &str) -> (i32, String) {
        let opening = Opening {
            config_json: config.to_owned(),
            host: "test".to_owned(),
        };
        let input = serde_json::to_vec(&opening).expect("JSON");
        text(guarded(cell, op::OPEN.number, &input))
    }

    #[test]
    fn nothing_works_before_it_is_open_or_after_it_refused_to() {
        let cell = cell();
        let closed = (
            status::ERROR,
            r#"{"other":"the plugin is not open"}"#.to_owned(),
        );
        let list = || text(guarded(&cell, op::TOOLS_LIST_TOOLS.number, b""));
        assert_eq!(list(), closed);
        assert_eq!(
            open(&cell, "no token"),
            (status::ERROR, r#"{"unavailable":"no token"}"#.to_owned())
        );
        assert_eq!(list(), closed);
    }

    #[test]
    fn a_panic_is_a_status_and_costs_the_value() {
        let cell = cell();
        assert_eq!(open(&cell, "{}"), (status::OK, "null".to_owned()));
        let (status, words) = text(guarded(&cell, op::TOOLS_LIST_TOOLS.number, b""));
        assert_eq!(status, status::PANIC);
        assert!(
            words.starts_with("not today, ") && words.contains("export.rs:"),
            "{words}"
        );
        assert!(cell.get().is_none());
        assert_eq!(open(&cell, "{}"), (status::OK, "null".to_owned()));
        assert!(cell.get().is_some());
    }

    #[test]
    fn other_operations_and_garbage_are_refused() {
        let cell = cell();
        open(&cell, "{}");
        assert_eq!(guarded(&cell, 0xffff, b""), (status::UNKNOWN, Vec::new()));
        assert_eq!(
            guarded(&cell, op::HOOKS_HANDLE.number, b"").0,
            status::UNKNOWN
        );
        let (status, words) = text(guarded(&cell, op::TOOLS_CALL_TOOL.number, b"\xff"));
        assert_eq!(status, status::ERROR);
        assert!(
            words.starts_with(r#"{"invalid":"the host's message"#),
            "{words}"
        );
    }

    #[test]
    fn the_manifest_in_the_file_is_of_this_version() {
        unsafe extern "C" {
            #[link_name = "dovetail_native_manifest"]
            static IN_THE_FILE: [u8; 54];
        }
        // SAFETY: the macro made it above, and nothing writes it.
        let manifest: crate::Manifest =
            serde_json::from_slice(unsafe { &IN_THE_FILE }).expect("a manifest");
        let expected = crate::Manifest {
            abi: crate::abi::ABI,
            id: "moody".to_owned(),
            api: crate::API.to_owned(),
            kinds: vec!["tools".to_owned()],
        };
        assert_eq!(manifest, expected);
    }

    #[test]
    fn what_crosses_the_boundary_goes_there_and_back() {
        // SAFETY: the functions are those that the macro made above; inputs are slices, outputs are given back once.
        let (manifest, answer) = unsafe {
            let table = &*dovetail_native_plugin();
            let manifest = slice::from_raw_parts(table.manifest, table.manifest_len).to_vec();
            let call = table.call.expect("there is one");
            let mut output = Bytes::EMPTY;
            let opening = br#"{"config-json":"{}","host":"test"}"#;
            let opened = call(
                op::OPEN.number,
                opening.as_ptr(),
                opening.len(),
                &mut output,
            );
            assert_eq!(opened, status::OK);
            let release = table.release.expect("there is one");
            release(output);
            let asked = br#"{"call":{"call-id":"c","name":"n","arguments-json":"{}","turn-metadata-json":"{}","later":1}}"#;
            let number = op::TOOLS_CALL_TOOL.number;
            assert_eq!(
                call(number, asked.as_ptr(), asked.len(), &mut output),
                status::OK
            );
            let answer = slice::from_raw_parts(output.data, output.len).to_vec();
            release(output);
            release(Bytes::EMPTY);
            (manifest, answer)
        };
        assert_eq!(
            String::from_utf8_lossy(&manifest),
            r#"{"abi":1,"id":"moody","api":"0.1.0","kinds":["tools"]}"#
        );
        assert_eq!(
            String::from_utf8_lossy(&answer),
            r#"{"content":[{"text":"n"}],"structured-json":null,"is-error":false}"#
        );
    }
}
