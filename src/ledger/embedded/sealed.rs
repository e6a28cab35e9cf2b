//! Whole files with a version and a checksum: snapshots, the key, the mark of a clean close.
//!
//! Little endian: magic 8 · version 4 · zero 4 · length of the body 8 · CRC32C of the body 4 · CRC32C of all
//! that 4, then the body. They are only ever replaced whole ([`super::disk::replace`]), so a bad one is damage.

use std::io;
use std::path::Path;

use super::OpenError;
use super::disk;
use super::format::{long, word};

const HEAD: usize = 32;
const VERSION: u32 = 1;

/// One kind of sealed file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind(pub(super) [u8; 8]);

impl Kind {
    /// Puts `parts`, one after the other, into the file `name`.
    pub(super) fn write(self, directory: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let mut head = [0; HEAD];
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let body = parts.iter().fold(0, |sum, part| crc32c::crc32c_append(sum, part));
        head[..8].copy_from_slice(&self.0);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        head[16..24].copy_from_slice(&(len as u64).to_le_bytes());
        head[24..28].copy_from_slice(&body.to_le_bytes());
        let check = crc32c::crc32c(&head[..28]);
        head[28..].copy_from_slice(&check.to_le_bytes());
        let mut all: Vec<&[u8]> = vec![&head];
        all.extend(parts);
        disk::replace(directory, name, &all)
    }

    /// The body of the file `name`; `None` when there is no such file.
    pub(super) fn read(self, directory: &Path, name: &str) -> Result<Option<Vec<u8>>, OpenError> {
        let path = directory.join(name);
        let mut bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(OpenError::io("read", &path))?,
        };
        if bytes.len() < HEAD || bytes[..8] != self.0 {
            return Err(OpenError::damaged(&path, 0, "the file is cut or of another kind"));
        }
        let version = word(&bytes, 8);
        if version > VERSION {
            return Err(OpenError::Newer { path, version, known: VERSION });
        }
        if word(&bytes, 28) != crc32c::crc32c(&bytes[..28]) {
            return Err(OpenError::damaged(&path, 0, "the head fails its checksum"));
        }
        let body = &bytes[HEAD..];
        if long(&bytes, 16) != body.len() as u64 || word(&bytes, 24) != crc32c::crc32c(body) {
            let offset = HEAD as u64;
            return Err(OpenError::damaged(&path, offset, "the content fails its checksum"));
        }
        bytes.drain(..HEAD);
        Ok(Some(bytes))
    }
}
