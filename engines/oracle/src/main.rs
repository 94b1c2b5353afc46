//! The engine `oracle`: what independent Rust crates say, behind crosscheck's protocol on stdin and stdout
//! (docs/engine_protocol.md). It never links an engine under test.

mod frame;
mod safetensors_op;
mod tokenizer_ops;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use tokenizer_ops::Tokenizers;

/// What an op answers instead of its fields.
struct Failure {
    code: &'static str,
    message: String,
    kind: &'static str, // the error type of the crate that refused
}

fn bad_request(message: impl Into<String>) -> Failure {
    Failure { code: "bad_request", message: message.into(), kind: "" }
}

fn hello() -> Value {
    json!({
        "protocol": 1,
        "name": "oracle",
        "version": env!("CARGO_PKG_VERSION"),
        "build": "safetensors 0.8.0, tokenizers 0.23.2 (onig)",
        "extensions": ["core", "safetensors/1", "tokenizer/1"],
        "environment": {},
        "limits": {},
    })
}

fn answer(head: &Value, payload: &[u8], tokenizers: &mut Tokenizers) -> Result<Value, Failure> {
    match head.get("op").and_then(Value::as_str) {
        Some("hello") => Ok(hello()),
        Some("ping" | "bye" | "cancel") => Ok(json!({})),
        Some("safetensors") => safetensors_op::read(payload),
        Some("load_tokenizer") => tokenizers.load(head),
        Some("encode") => tokenizers.encode(head),
        Some("decode") => tokenizers.decode(head),
        Some(other) => Err(Failure { code: "unsupported", message: format!("unknown op \"{other}\""), kind: "" }),
        None => Err(bad_request("no string \"op\"")),
    }
}

fn main() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut tokenizers = Tokenizers::default();
    while let Some((head, payload)) = frame::read(&mut input)? {
        let head: Value = serde_json::from_slice(&head).unwrap_or_default();
        // A crate that panics is broken for this request only: nothing of ours is half-changed then.
        let result = catch_unwind(AssertUnwindSafe(|| answer(&head, &payload, &mut tokenizers)));
        let failed = || Err(Failure { code: "internal", message: "panicked: see the log".into(), kind: "panic" });
        let mut reply = match result.unwrap_or_else(|_| failed()) {
            Ok(mut fields) => {
                fields["ok"] = true.into();
                fields
            }
            Err(Failure { code, message, kind }) => {
                json!({"ok": false, "error": {"code": code, "message": message, "type": kind}})
            }
        };
        reply["id"] = head.get("id").cloned().unwrap_or_default();
        frame::write(&mut output, &reply)?;
        if head.get("op").and_then(Value::as_str) == Some("bye") {
            break;
        }
    }
    Ok(())
}
