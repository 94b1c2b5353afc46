//! Why a request has no answer, and how panics of the engine become such a reason.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::Once;

use lattice_inference::InferenceError;
use serde_json::{Value, json};

/// An error of the protocol: a code of docs/engine_protocol.md, a message and the engine's own error type.
#[derive(Clone, Debug)]
pub struct Fault {
    pub code: &'static str,
    pub message: String,
    pub kind: String,
}

impl Fault {
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { code: "bad_request", message: message.into(), kind: String::new() }
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { code: "unsupported", message: message.into(), kind: String::new() }
    }

    pub fn refused(message: impl Into<String>, kind: &str) -> Self {
        Self { code: "refused", message: message.into(), kind: kind.into() }
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self { code: "internal", message: message.into(), kind: "panic".into() }
    }

    /// The observation of a step of `program` that failed.
    pub fn to_step(&self) -> Value {
        json!({"ok": false, "error": {"code": self.code, "message": self.message, "type": self.kind}})
    }
}

/// A typed error of the engine is a refusal; its type is the name of the enum variant.
impl From<InferenceError> for Fault {
    fn from(error: InferenceError) -> Self {
        let debug = format!("{error:?}");
        let end = debug.find(|c: char| !c.is_alphanumeric()).unwrap_or(debug.len());
        Self::refused(error.to_string(), &debug[..end])
    }
}

thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps panics from printing. The hook belongs to this library's copy of the Rust runtime, not to the process.
pub fn install_quiet_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        set_hook(Box::new(|info: &PanicHookInfo<'_>| {
            let place = info.location().map(|at| format!(" at {}:{}", crate_path(at.file()), at.line()));
            LAST_PANIC.with(|last| *last.borrow_mut() = place);
        }));
    });
}

/// The part of a source path that is the same on every machine: `<crate>-<version>/src/…`.
fn crate_path(file: &str) -> &str {
    match file.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/')) {
        Some((_, path)) => path,
        None => file,
    }
}

/// Runs `body`; a panic becomes the error `internal`.
pub fn guard<T>(body: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    LAST_PANIC.with(|last| last.borrow_mut().take());
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| Err(from_panic(payload.as_ref())))
}

fn from_panic(payload: &(dyn Any + Send)) -> Fault {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("panic without a text");
    // A panic on a worker thread reaches this one without the place.
    let place = LAST_PANIC.with(|last| last.borrow_mut().take()).unwrap_or_default();
    Fault::internal(format!("{text}{place}"))
}
