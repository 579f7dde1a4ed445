//! The frame of the files on flash: a first line that names the format and carries the CRC-32 of the content.
//!
//! A half-written or bit-rotten file is recognised before its content is used.

use super::durable;

/// Frames `body`: a first line with `format` and the checksum of the body, then the body and a line end.
pub fn encode(format: &str, body: &[u8]) -> Vec<u8> {
    let mut content = format!("{format} {:08x}\n", durable::crc32(body)).into_bytes();
    content.extend_from_slice(body);
    content.push(b'\n');
    content
}

/// The body of a file in the format `wanted`. Only exactly what [`encode`] writes is accepted.
///
/// # Errors
/// What is wrong with the file, in words that continue "cannot be used:".
pub fn decode<'a>(wanted: &str, content: &'a [u8]) -> Result<&'a [u8], String> {
    if content.is_empty() {
        return Err("it is empty".into());
    }
    let end = content.iter().position(|b| *b == b'\n').ok_or("its first line has no end")?;
    let head = std::str::from_utf8(&content[..end]).map_err(|_| "its first line is not text")?;
    let (format, sum) = head.split_once(' ').ok_or("its first line has no checksum")?;
    if format != wanted {
        return Err(format!("its format is {:.40?}, this version reads {wanted:?}", format));
    }
    let body = &content[end + 1..];
    let body = body.strip_suffix(b"\n").ok_or("it ends in the middle")?;
    if sum != format!("{:08x}", durable::crc32(body)) {
        return Err("its checksum does not fit its content".into());
    }
    Ok(body)
}
