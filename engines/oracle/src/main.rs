//! The engine `oracle`: what independent Rust crates say, behind crosscheck's protocol on stdin and stdout
//! (docs/engine_protocol.md). It never links an engine under test.
//!
//! Extension `safetensors/1`, op `safetensors`: `{}` and one U8 tensor `file` → `{valid: true, tensors: [{name, dtype,
//! shape, data_offsets}]}` in the order of the data, or `{valid: false, reason}`, as the crate `safetensors` reads it.

use std::io::{self, Read, Write};

use safetensors::SafeTensors;
use serde_json::{Value, json};

const HEADER_BYTES: usize = 16;
const MAX_HEAD_BYTES: u32 = 16 << 20;
const MAX_PAYLOAD_BYTES: u64 = 64 << 20;

/// A code of the protocol and a message.
type Failure = (&'static str, String);

fn bad_request(message: impl Into<String>) -> Failure {
    ("bad_request", message.into())
}

/// One frame, or none at the end of the input. What is no frame ends the program: it cannot be answered.
fn read_frame(input: &mut impl Read) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut header = [0; HEADER_BYTES];
    match input.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let head_bytes = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    let mut size = [0; 8];
    size.copy_from_slice(&header[8..]);
    let payload_bytes = u64::from_le_bytes(size);
    if &header[..4] != b"XCK1" || head_bytes > MAX_HEAD_BYTES || payload_bytes > MAX_PAYLOAD_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no frame: it does not begin with XCK1 and two sizes"));
    }
    let mut head = vec![0; head_bytes as usize];
    let mut payload = vec![0; payload_bytes as usize];
    input.read_exact(&mut head)?;
    input.read_exact(&mut payload)?;
    Ok(Some((head, payload)))
}

fn write_frame(output: &mut impl Write, head: &Value) -> io::Result<()> {
    let head = head.to_string();
    output.write_all(b"XCK1")?;
    output.write_all(&(head.len() as u32).to_le_bytes())?;
    output.write_all(&0u64.to_le_bytes())?;
    output.write_all(head.as_bytes())?;
    output.flush()
}

fn hello() -> Value {
    json!({
        "protocol": 1,
        "name": "oracle",
        "version": env!("CARGO_PKG_VERSION"),
        "build": "safetensors 0.8.0",
        "extensions": ["core", "safetensors/1"],
        "environment": {},
        "limits": {},
    })
}

fn read_safetensors(payload: &[u8]) -> Result<Value, Failure> {
    let message = SafeTensors::deserialize(payload).map_err(|error| bad_request(format!("payload: {error}")))?;
    let file = message.tensor("file").map_err(|error| bad_request(format!("payload: {error}")))?;
    let metadata = match SafeTensors::read_metadata(file.data()) {
        Ok((_, metadata)) => metadata,
        Err(error) => return Ok(json!({"valid": false, "reason": error.to_string()})),
    };
    let mut tensors = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let (begin, end) = info.data_offsets;
        let dtype = info.dtype.to_string();
        tensors.push(json!({"name": name, "dtype": dtype, "shape": info.shape, "data_offsets": [begin, end]}));
    }
    Ok(json!({"valid": true, "tensors": tensors}))
}

fn answer(head: &Value, payload: &[u8]) -> Result<Value, Failure> {
    match head.get("op").and_then(Value::as_str) {
        Some("hello") => Ok(hello()),
        Some("ping" | "bye" | "cancel") => Ok(json!({})),
        Some("safetensors") => read_safetensors(payload),
        Some(other) => Err(("unsupported", format!("unknown op \"{other}\""))),
        None => Err(bad_request("no string \"op\"")),
    }
}

fn main() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    while let Some((head, payload)) = read_frame(&mut input)? {
        let head: Value = serde_json::from_slice(&head).unwrap_or_default();
        let mut reply = match answer(&head, &payload) {
            Ok(mut fields) => {
                fields["ok"] = true.into();
                fields
            }
            Err((code, message)) => json!({"ok": false, "error": {"code": code, "message": message, "type": ""}}),
        };
        reply["id"] = head.get("id").cloned().unwrap_or_default();
        write_frame(&mut output, &reply)?;
        if head.get("op").and_then(Value::as_str) == Some("bye") {
            break;
        }
    }
    Ok(())
}
