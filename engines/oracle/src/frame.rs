//! Frames of docs/engine_protocol.md.

use std::io::{self, Read, Write};

use serde_json::Value;

const HEADER_BYTES: usize = 16;
const MAX_HEAD_BYTES: u32 = 16 << 20;
const MAX_PAYLOAD_BYTES: u64 = 64 << 20;

/// Head and payload of one frame, or none at the end of the input. What is no frame ends the program: it cannot be
/// answered.
pub fn read(input: &mut impl Read) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
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

pub fn write(output: &mut impl Write, head: &Value) -> io::Result<()> {
    let head = head.to_string();
    output.write_all(b"XCK1")?;
    output.write_all(&(head.len() as u32).to_le_bytes())?;
    output.write_all(&0u64.to_le_bytes())?;
    output.write_all(head.as_bytes())?;
    output.flush()
}
